"""The session in the README is true: it is run as it stands there, and prints what it says it prints."""

import contextlib
import io
import pathlib
import re

README = pathlib.Path(__file__).parents[2] / "README.md"


def replaced(text, old, new):
    assert old in text, f"the session no longer says {old}"
    return text.replace(old, new)


def test_the_session_prints_what_it_says(own_server):
    session, printed = re.search(
        r"```python\n(.*?)```\n\nIt prints\n\n```text\n(.*?)```", README.read_text(), re.DOTALL
    ).groups()
    # A server for this test alone, so that the session sees what a newcomer sees; only where it is differs.
    server = own_server()
    session = replaced(session, "127.0.0.1:7700", server.address)
    session = replaced(session, "~/.local/share/uos/token", str(server.data_dir / "token"))

    names, output = {}, io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(session, str(README), "exec"), names)
    names["agent"].close()
    names["admin"].close()
    assert output.getvalue() == printed
