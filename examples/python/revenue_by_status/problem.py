"""What ends the processor, for the one who runs it to mend."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Those of `millrace`, and of sysexits.h."""

    FAILED = 1
    UNAVAILABLE = 69
    CONFIGURATION = 78


class Problem(Exception):
    """Says what was expected, what was found, and what to do."""

    def __init__(self, message: str, exit_code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code
