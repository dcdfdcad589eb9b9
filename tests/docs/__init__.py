"""The pages a user reads: what they show is run, what they name exists."""
