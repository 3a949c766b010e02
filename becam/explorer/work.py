"""Work that takes its turn: one piece at a time, a bounded queue, a fair order."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import closing, suppress
from typing import Any

from becam.errors import BecamError
from becam.explorer.refusal import Refusal, own_fault

WAITING = 16
"""Pieces of work that may wait, of all owners together."""
EACH = 3
"""Pieces of work that one owner may have, the running one included."""

Event = tuple[str, dict[str, Any]]
"""A name, and plain values."""

_RETRY_SECONDS = 5
_PATIENCE = 0.5
"""Seconds that closing waits for a step to notice."""

Task = Callable[["Ticket"], Generator[None, None, None]]
"""Does the work; others may take a turn where it yields, and where it lets its ticket rest."""


class Cancelled(BaseException):
    """Nobody waits for the work any more; no error, so nobody takes it for one."""


class Ticket:
    """A piece of work in the queue; it belongs to the event loop that it was made in.

    The work has a thread of its own, so that it can rest wherever it is, and runs in its turns
    alone.

    Args:
        owner: whoever asked for it.
        task: see :data:`Task`.

    Attributes:
        begun: whether it has had its first turn.
    """

    def __init__(self, owner: str, task: Task) -> None:
        self.owner = owner
        self.begun = False
        self._task = task
        self._turn = threading.Semaphore(0)
        self._rested = threading.Semaphore(0)
        self._done = False
        self._loop = asyncio.get_running_loop()
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._cancelled = threading.Event()
        self._ahead = 0

    async def events(self, patience: float) -> AsyncIterator[Event | None]:
        """What the work tells until it ends; None whenever it has told nothing for a while.

        Args:
            patience: how long a while is, in seconds.
        """
        while True:
            try:
                event = await asyncio.wait_for(self._events.get(), patience)
            except TimeoutError:
                yield None
                continue
            if event is None:
                return
            yield event

    def tell(self, name: str, **values: Any) -> None:
        """Tell whoever waits; for the task.

        Raises:
            Cancelled: nobody waits any more.
        """
        if self._cancelled.is_set():
            raise Cancelled
        self._put((name, values))

    def rest(self) -> None:
        """Let others take a turn, and go on in the next; for the task.

        Raises:
            Cancelled: nobody waits any more.
        """
        self._rested.release()
        self._turn.acquire()
        if self._cancelled.is_set():
            raise Cancelled

    def step(self) -> bool:
        """Do the work up to where others may take a turn; whether there is more."""
        if self.begun:
            self._turn.release()
        else:
            self.begun = True
            threading.Thread(target=self._run, name="becam-question", daemon=True).start()
        self._rested.acquire()
        return not self._done

    def _run(self) -> None:
        try:
            if not self._cancelled.is_set():
                with closing(self._task(self)) as steps:
                    for _ in steps:
                        self.rest()
        except Cancelled:
            pass
        except BecamError as error:
            self._put(("failed", {"sentence": str(error)}))
        except MemoryError:
            self._put(("failed", {"sentence": "The machine ran out of memory; choose less."}))
        except Exception as error:
            self._put(("failed", {"sentence": own_fault(error)}))
        finally:
            self._done = True
            self.end()
            self._rested.release()

    def end(self) -> None:
        """Nothing follows."""
        self._put(None)

    def place(self, ahead: int) -> None:
        """Tell how many others come first, when that has changed."""
        if ahead != self._ahead and not self.begun:
            self._ahead = ahead
            self._put(("waiting", {"ahead": ahead}))

    def cancel(self) -> None:
        """Let the work end where it tells something next."""
        self._cancelled.set()

    def _put(self, event: Event | None) -> None:
        with suppress(RuntimeError):  # the loop is closed, so nobody listens
            self._loop.call_soon_threadsafe(self._events.put_nowait, event)


class Work:
    """One thread that does what everybody asks for, one step of each owner after the other.

    Args:
        waiting: pieces of work that may wait.
        each: pieces of work that one owner may have.
    """

    def __init__(self, *, waiting: int = WAITING, each: int = EACH) -> None:
        self._waiting = waiting
        self._each = each
        self._changed = threading.Condition()
        self._turns: dict[str, deque[Ticket]] = {}  # the next owner first
        self._running: Ticket | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="becam-encoder", daemon=True)
        self._thread.start()

    def submit(self, owner: str, task: Task) -> Ticket:
        """Put a task in the queue.

        Args:
            owner: whoever asks, for the order.
            task: see :data:`Task`.

        Raises:
            Refusal: the queue is full, or the owner has too much in it.
        """
        with self._changed:
            tickets = self._tickets()
            mine = [one for one in (*tickets, self._running) if one and one.owner == owner]
            if len(mine) >= self._each:
                raise Refusal(
                    429,
                    f"{len(mine)} of your requests are not done yet; wait for one, or cancel it.",
                    retry_after=_RETRY_SECONDS,
                )
            if self._closed or len(tickets) >= self._waiting:
                raise Refusal(
                    503,
                    f"{len(tickets)} requests are waiting already; try again in a moment.",
                    retry_after=_RETRY_SECONDS,
                )
            ticket = Ticket(owner, task)
            self._turns.setdefault(owner, deque()).append(ticket)
            self._place()
            self._changed.notify()
            return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Take a ticket out of the queue, or end its work at the next batch or turn."""
        ticket.cancel()
        with self._changed:
            queue = self._turns.get(ticket.owner)
            if queue is not None and ticket in queue and not ticket.begun:
                queue.remove(ticket)
                if not queue:
                    del self._turns[ticket.owner]
                ticket.end()
            self._place()

    def close(self) -> None:
        """Cancel everything, and wait a little for the thread to notice."""
        with self._changed:
            self._closed = True
            for ticket in (*self._tickets(), self._running):
                if ticket is not None:
                    ticket.cancel()
            self._changed.notify()
        self._thread.join(_PATIENCE)

    def _run(self) -> None:
        while (ticket := self._take()) is not None:
            more = ticket.step()
            with self._changed:
                self._running = None
                if more:
                    self._turns.setdefault(ticket.owner, deque()).appendleft(ticket)
            del ticket

    def _take(self) -> Ticket | None:
        with self._changed:
            while not self._turns:
                if self._closed:
                    return None
                self._changed.wait()
            owner = next(iter(self._turns))
            queue = self._turns.pop(owner)
            self._running = queue.popleft()
            # Its other work comes after everybody else's.
            if queue:
                self._turns[owner] = queue
            self._place()
            return self._running

    def _tickets(self) -> list[Ticket]:
        """All that wait, in the order in which each takes its first turn."""
        queues = [list(queue) for queue in self._turns.values()]
        rounds = max(map(len, queues), default=0)
        return [queue[turn] for turn in range(rounds) for queue in queues if turn < len(queue)]

    def _place(self) -> None:
        busy = self._running is not None
        for ahead, ticket in enumerate(self._tickets(), start=int(busy)):
            ticket.place(ahead)
