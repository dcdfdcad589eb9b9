"""Tokens under the framework's names."""

from __future__ import annotations

from agent_framework import UsageDetails

from ...workflows.messages import TokenCounts


def usage_details(counts: TokenCounts) -> UsageDetails:
    """Return tokens as the framework has them."""
    return UsageDetails(
        input_token_count=counts.input, output_token_count=counts.output, total_token_count=counts.total
    )


def token_counts(usage: UsageDetails) -> TokenCounts:
    """Return what `usage_details` was made from."""
    return TokenCounts(
        input=usage.get("input_token_count") or 0,
        output=usage.get("output_token_count") or 0,
        total=usage.get("total_token_count") or 0,
    )
