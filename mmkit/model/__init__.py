"""The models: how Linux manages memory, in stdlib Python and numpy. They neither print nor draw."""
