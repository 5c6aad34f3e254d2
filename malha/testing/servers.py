"""Real servers for tests: started on a free port, stopped and restarted at will, on the same port."""

import subprocess
import time
from pathlib import Path

from malha.stack.program import Program, dies_with_parent


class RunningServer:
    """A started program. `stop` and `restart` let a test take a dependency away and give it back."""

    def __init__(self, program: Program, log: Path) -> None:
        self.program = program
        self.log = log
        self.url = program.url
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; the server must be running."""
        assert self._process is not None, f"{self.program.name} is stopped"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there; false once it was stopped, killed or has ended by itself."""
        return self._process is not None and self._process.poll() is None

    def start(self, *, timeout: float = 15.0) -> None:
        """Starts it and returns once it serves; raises RuntimeError with the end of its log otherwise."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the arguments are our own
                self.program.argv,
                env=self.program.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # its own group: a Ctrl-C at the terminal ends the test first, which then ends the server
                start_new_session=True,
                preexec_fn=dies_with_parent(),
            )
        deadline = time.monotonic() + timeout
        while not self.program.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                said = self.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.program.name} does not serve:\n{said}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Asks it to end, as an operator would, and waits for it."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
            self._process = None

    def kill(self) -> None:
        """Ends it as a crash would: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def restart(self, *, crash: bool = False) -> None:
        """Stops or kills it and starts it again on the same port with the same state."""
        if crash:
            self.kill()
        else:
            self.stop()
        self.start()
