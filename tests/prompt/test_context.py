"""From a conversation to a request that every provider accepts."""

from agentstead.harness.evolve import evolve
from agentstead.harness.steps import CallModel
from agentstead.prompt import context
from agentstead.testing.script import thinking, use
from tests.harness.talk import BUILTINS, PRIMARY, Talk
from tests.simulation.scenarios import LOOKUP, TOOLSET, agent, config


def begun(text="begin"):
    talk = Talk()
    talk.message(text)
    talk.settle()
    return talk


def unmarked(messages):
    """Without cache marks."""
    return [
        {
            **message,
            "content": [
                {name: value for name, value in block.items() if name != "cache_control"}
                for block in message["content"]
            ],
        }
        for message in messages
    ]


def test_results_come_first_in_the_order_of_their_uses_then_the_messages():
    talk = begun()
    talk.answer(thinking("Hm.", "sig"), "I look.", use("bash", n=1), use("read", n=2))
    one, other = talk.uses()
    talk.message("and this")
    talk.result(other, "second")
    talk.result(one, "first", is_error=True)
    assert isinstance(talk.steps()[0], CallModel)
    assert unmarked(talk.request().messages) == [
        {"role": "user", "content": [{"type": "text", "text": "begin"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"n": 1}},
                {"type": "tool_use", "id": "toolu_2", "name": "read", "input": {"n": 2}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "text", "text": "first"}],
                    "is_error": True,
                },
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_2",
                    "content": [{"type": "text", "text": "second"}],
                },
                {"type": "text", "text": "and this"},
            ],
        },
    ]


def test_an_empty_result_says_that_there_was_no_output():
    talk = begun()
    talk.answer(use("bash", n=1))
    talk.result(talk.uses()[0], "")
    block = talk.request().messages[-1]["content"][0]
    assert block["content"] == [{"type": "text", "text": context.NO_OUTPUT}]


def test_a_message_without_words_keeps_its_place():
    assert unmarked(begun(" ").request().messages) == [
        {"role": "user", "content": [{"type": "text", "text": context.NO_WORDS}]}
    ]


def test_an_answer_without_blocks_leaves_no_message():
    talk = begun()
    talk.answer(stop_reason="end_turn")
    talk.message("still there?")
    talk.settle()
    (message,) = unmarked(talk.request().messages)
    assert [block["text"] for block in message["content"]] == ["begin", "still there?"]


def test_instructions_in_mid_conversation_are_marked_as_such():
    talk = begun()
    talk.queue("system.message", content=[{"type": "text", "text": "Be brief."}])
    talk.message("more")
    talk.answer("Hello.")
    texts = [block["text"] for block in talk.request().messages[-1]["content"]]
    assert texts == ["<system>Be brief.</system>", "more"]


def test_cache_marks_lie_on_the_stable_prefix_and_the_last_two_user_messages():
    talk = begun()
    for number in range(4):
        talk.answer(use("bash", n=number))
        talk.result(talk.uses()[0])
    prompt = talk.request()
    assert "cache_control" in prompt.tools[-1]
    assert "cache_control" in prompt.system[-1]
    marked = [
        index
        for index, message in enumerate(prompt.messages)
        if "cache_control" in message["content"][-1]
    ]
    assert marked == [len(prompt.messages) - 3, len(prompt.messages) - 1]
    assert all("cache_control" not in tool for tool in prompt.tools[:-1])


def test_the_prefix_is_the_same_bytes_all_along():
    talk = begun()
    first = talk.request()
    talk.answer(use("bash", n=1))
    talk.result(talk.uses()[0])
    later = talk.request()
    assert (first.tools, first.system) == (later.tools, later.system)
    assert unmarked(first.messages) == unmarked(later.messages[:1])


def test_only_what_is_enabled_and_there_is_offered():
    names = [tool["name"] for tool in begun().request().tools]
    assert names == ["bash", "read", "write", "edit", "grep", "lookup"]
    nothing = {**TOOLSET, "default_config": {"enabled": False, "permission_policy": {}}}
    only_read = {**nothing, "configs": [config("read", {"type": "always_allow"})]}
    assert [t["name"] for t in context.offered_tools([only_read, LOOKUP], BUILTINS)] == [
        "read",
        "lookup",
    ]
    assert context.offered_tools([TOOLSET], {}) == []


def test_an_agent_without_sandbox_tools_is_told_nothing_of_a_sandbox():
    words = {**agent("main"), "tools": [LOOKUP], "system": None}
    thread = Talk().state.threads[PRIMARY]
    assert context.build(evolve(thread, agent=words), BUILTINS).system == ()
    (only,) = context.build(evolve(thread, agent={**words, "system": "Hi."}), BUILTINS).system
    assert only["text"] == "Hi."
    assert context.build(thread, BUILTINS).system[0]["text"] == context.SANDBOX_NOTE
    told = context.build(thread, BUILTINS, network="There is a network.")
    assert told.system[0]["text"] == f"{context.SANDBOX_NOTE} There is a network."


def test_a_scribe_that_knows_the_start_writes_what_a_new_one_writes():
    talk = begun()
    scribe = context.Scribe()
    for number in range(5):
        talk.answer(use("bash", n=number), use("read", n=number))
        for call in talk.uses()[-2:]:
            talk.result(call, f"did {number}")
        talk.message(f"and {number}")
        talk.settle()
        transcript = talk.state.threads[PRIMARY].transcript
        assert scribe.messages(transcript) == context.Scribe().messages(transcript)
    other = (*transcript[:4], transcript[0])
    assert scribe.messages(other) == context.Scribe().messages(other)


def test_every_start_of_a_conversation_is_written_alike_step_by_step():
    talk = begun()
    for text in ("one", "", "two"):  # an answer without words joins its neighbours
        talk.answer(text)
        talk.message(text)
        talk.settle()
    transcript = talk.state.threads[PRIMARY].transcript
    scribe = context.Scribe()
    for size in range(len(transcript) + 1):
        known = scribe.messages(transcript[:size])
        assert known == context.Scribe().messages(transcript[:size])
        roles = [message["role"] for message in known]
        assert roles == [("user", "assistant")[place % 2] for place in range(len(roles))]


def test_the_model_is_told_of_the_packages_of_its_environment() -> None:
    wanted = {"config": {"type": "cloud", "packages": {"type": "packages", "pip": ["pandas"]}}}
    (note,) = context.package_note(wanted)
    assert "pip: pandas" in note
    assert note.startswith("Installed for this environment")
    assert context.package_note({"config": {"packages": {"type": "packages", "pip": []}}}) == []
    assert context.package_note({}) == []


SERVER_TOOL = {"name": "mcp__docs__look", "description": "d", "input_schema": {"type": "object"}}


def test_tools_of_servers_come_last_and_end_the_stable_prefix() -> None:
    prompt = context.build(begun().state.primary, BUILTINS, servers=(SERVER_TOOL,))
    assert prompt.tools[-1] == {**SERVER_TOOL, "cache_control": context.CACHE}
    assert sum("cache_control" in tool for tool in prompt.tools) == 1


def test_a_conversation_with_tools_that_are_all_gone_is_still_a_valid_request() -> None:
    talk = begun()
    talk.answer(use("bash", n=1), use("read", n=2), use("bash", n=3))
    for call_id in talk.uses():
        talk.result(call_id, "ok")
    bare = evolve(talk.state.primary, agent={**agent("main"), "tools": []})
    prompt = context.build(bare, BUILTINS)
    assert [tool["name"] for tool in prompt.tools] == ["bash", "read"]
    assert {tool["description"] for tool in prompt.tools} == {context.GONE}
    silent = evolve(begun().state.primary, agent={**agent("main"), "tools": []})
    assert context.build(silent, BUILTINS).tools == ()
