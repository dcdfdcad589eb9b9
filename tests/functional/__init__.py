"""Functional workflows, `@workflow` and `@step`, run durably."""
