"""Payments: a card is charged once, and a person is asked where nobody knows whether it was."""
