"""Order handling: a sub-workflow, a person's approval with a deadline, and what becomes of it."""
