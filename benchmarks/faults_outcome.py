"""What came of a fault that was tried many times."""

from dataclasses import dataclass, field


@dataclass
class Outcome:
    """A kind of fault.

    Attributes:
        what: was done, and to which command.
        tried: how often.
        broken: a sentence for each time that something was lost or went wrong.
    """

    what: str
    tried: int = 0
    broken: list[str] = field(default_factory=list)

    def note(self, case: str, complaints: list[str]) -> None:
        """Count one more time, with all that was wrong after it.

        Args:
            case: what tells this time from the others, such as the moment.
            complaints: empty where it held.
        """
        self.tried += 1
        if complaints:
            self.broken.append(f"{case}: {'; '.join(complaints)}")
