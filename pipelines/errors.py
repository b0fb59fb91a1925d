"""What we raise when an input is wrong: expected, came, remedy, in one sentence each."""


class AigcError(ValueError):
    """A problem that the user can mend; its text goes to the canvas as it is."""
