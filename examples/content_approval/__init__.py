"""A content pipeline with two researchers, a writer, and a human who approves or rejects the draft."""
