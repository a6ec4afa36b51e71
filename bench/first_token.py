"""First token: through the platform against a bare SDK loop, with an upstream that takes 300 ms."""

import threading
import time

import anthropic
from tests.support.processes import Platform, platform

from bench.report import keep, line, milliseconds, percentile, title
from bench.upstream import upstream

DELAY_SECONDS = 0.3
SAMPLES = 30
MODEL = "claude-sonnet-5-5"
WORDS = [{"type": "text", "text": "Hello"}]


def bare(client: anthropic.Anthropic) -> float:
    """Seconds from asking the SDK to the first piece of text."""
    began = time.perf_counter()
    messages = [{"role": "user", "content": WORDS}]
    with client.messages.stream(model=MODEL, max_tokens=1000, messages=messages) as stream:
        for event in stream:
            if event.type == "content_block_delta":
                return time.perf_counter() - began
    raise AssertionError("no text came")


class Through:
    """Sessions of one agent on the platform."""

    def __init__(self, place: Platform) -> None:
        self.client = place.client()
        beta = self.client.beta
        self.agent = beta.agents.create(
            name="bench", model=MODEL, tools=[{"type": "agent_toolset_20260401"}]
        )
        self.environment = beta.environments.create(name="bench")

    def sample(self) -> float:
        """Seconds from sending a message to the first delta on an open stream."""
        sessions = self.client.beta.sessions
        session = sessions.create(agent=self.agent.id, environment_id=self.environment.id)
        opened, came = threading.Event(), threading.Event()
        moment: list[float] = []

        def follow() -> None:
            deltas = ["agent.message"]
            with sessions.events.stream(session.id, event_deltas=deltas) as stream:
                opened.set()
                for event in stream:
                    if event.type == "event_delta" and not moment:
                        moment.append(time.perf_counter())
                    if event.type == "session.status_idle":
                        break
            came.set()

        threading.Thread(target=follow, daemon=True).start()
        opened.wait(10)
        began = time.perf_counter()
        sessions.events.send(session.id, events=[{"type": "user.message", "content": WORDS}])
        assert came.wait(30)
        return moment[0] - began


def main() -> None:
    """Measure and print."""
    title(f"first token, upstream delay {DELAY_SECONDS * 1000:.0f} ms (bar: ratio 1.10, aim 1.05)")
    with (
        upstream(DELAY_SECONDS) as url,
        platform(anthropic_api_key="bench", anthropic_base_url=url) as place,
    ):
        place.serve()
        sdk = anthropic.Anthropic(base_url=url, api_key="bench", max_retries=0)
        through = Through(place)
        for _ in range(3):
            bare(sdk), through.sample()
        pairs = [(bare(sdk), through.sample()) for _ in range(SAMPLES)]
    direct, platform_ = ([pair[side] for pair in pairs] for side in (0, 1))
    ratios = [percentile(platform_, share) / percentile(direct, share) for share in (0.5, 0.95)]
    line("bare SDK loop", milliseconds(direct))
    line("through the platform", milliseconds(platform_))
    line("ratio", f"p50 {ratios[0]:.3f}   p95 {ratios[1]:.3f}")
    keep("first_token", ratio_p50=ratios[0], ratio_p95=ratios[1])


if __name__ == "__main__":
    main()
