"""Values as text that holds data only, and back."""
