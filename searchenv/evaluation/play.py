"""Plays episodes of a policy, many at once, and yields each as it ends."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from searchenv.driver import step_episodes
from searchenv.episode import Episode
from searchenv.errors import PolicyError
from searchenv.policies.base import Policy
from searchenv.types import Tool

__all__ = ["play"]


def play(
    policy: Policy,
    episodes: Iterable[Episode],
    tools: Mapping[str, Tool],
    *,
    num_envs: int = 64,
) -> Iterator[Episode]:
    """Yields every episode once it is over, in the order in which they end.

    Up to ``num_envs`` episodes are in flight, with one call to each tool for all that step
    together; where one ends, the next begins. A policy with ``concurrency`` is asked for each
    episode alone, in threads; any other for all of them at once. Tools are called from this thread
    only.

    Where the policy raises ``PolicyError`` for an episode, the episode is abandoned and yielded;
    anything else that it raises is passed on.

    Raises:
        ValueError: ``num_envs`` is below 1, or the policy did not write one text for each view.
    """
    if num_envs < 1:
        raise ValueError(f"num_envs must be >= 1, got {num_envs}")
    threads: int = getattr(policy, "concurrency", 0)
    if threads:
        return _play_in_threads(policy, iter(episodes), tools, num_envs, threads)
    return _play_in_step(policy, iter(episodes), tools, num_envs)


def _play_in_step(
    policy: Policy, waiting: Iterator[Episode], tools: Mapping[str, Tool], num_envs: int
) -> Iterator[Episode]:
    playing: list[Episode] = []
    while True:
        while len(playing) < num_envs and (following := next(waiting, None)) is not None:
            playing.append(following)
        if not playing:
            return
        _take(_texts(policy, playing), tools)
        yield from [episode for episode in playing if episode.over]
        playing = [episode for episode in playing if not episode.over]


def _play_in_threads(
    policy: Policy,
    waiting: Iterator[Episode],
    tools: Mapping[str, Tool],
    num_envs: int,
    threads: int,
) -> Iterator[Episode]:
    asked: dict[Future[str | PolicyError], Episode] = {}
    pool = ThreadPoolExecutor(threads, "policy")
    try:
        while True:
            while len(asked) < num_envs and (following := next(waiting, None)) is not None:
                asked[pool.submit(_text, policy, following)] = following
            if not asked:
                return
            done, _ = wait(asked, return_when=FIRST_COMPLETED)
            answered = [(asked.pop(future), future.result()) for future in done]
            _take(answered, tools)
            for episode, _ in answered:
                if episode.over:
                    yield episode
                else:
                    asked[pool.submit(_text, policy, episode)] = episode
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _texts(policy: Policy, episodes: Sequence[Episode]) -> list[tuple[Episode, str | PolicyError]]:
    try:
        texts: Sequence[str | PolicyError] = _ask(policy, episodes)
    except PolicyError:
        texts = [_text(policy, episode) for episode in episodes]
    return list(zip(episodes, texts, strict=True))


def _text(policy: Policy, episode: Episode) -> str | PolicyError:
    try:
        return _ask(policy, [episode])[0]
    except PolicyError as error:
        return error


def _ask(policy: Policy, episodes: Sequence[Episode]) -> Sequence[str]:
    texts = policy.act([episode.view for episode in episodes])
    if len(texts) != len(episodes):
        raise ValueError(
            f"{type(policy).__name__}.act must return one text for each of {len(episodes)} views, "
            f"got {len(texts)}"
        )
    return texts


def _take(answered: Sequence[tuple[Episode, str | PolicyError]], tools: Mapping[str, Tool]) -> None:
    writing: list[Episode] = []
    texts: list[str] = []
    for episode, text in answered:
        if isinstance(text, PolicyError):
            episode.abandon(f"{type(text).__name__}: {text}")
        else:
            writing.append(episode)
            texts.append(text)
    step_episodes(writing, texts, tools)
