"""Group chat: agents in turn, and a person who reviews what they say."""
