"""Progress of a run on the terminal; knows counts only."""

from collections.abc import Callable

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingBar:
    """A progress bar that is silent on all but the main process."""

    def __init__(self, end: int, done: int, *, shown: bool) -> None:
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            disable=not shown,
        )
        self.job = self.bar.add_task("training", total=end, completed=done)

    def __enter__(self) -> Callable[[int], None]:
        self.bar.start()
        return lambda done: self.bar.update(self.job, completed=done)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()
