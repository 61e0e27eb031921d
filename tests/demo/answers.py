"""curl, and what it was answered. Secrets go to it on its standard input or in files that only we can read, never on its
command line, where every process on the machine could see them."""
import json

from stage import NotSeen


def answered(run, url, authority, *options, user=None, body=None):
    """The status and the JSON answer. `run` starts a command with this standard input."""
    secret = f'user = "{quoted(user)}"\n' if user else ""
    if body is not None:
        secret += f'header = "Content-Type: application/json"\ndata = "{quoted(json.dumps(body))}"\n'
    done = run(["curl", "-sS", "--max-time", "10", "--cacert", str(authority), "-w", "\n%{http_code}", "-K", "-", *map(str, options), url], secret)
    if done.returncode:
        raise NotSeen(f"curl {url}: {done.stderr.strip()}")
    text, _, status = done.stdout.rpartition("\n")
    try:
        return int(status), json.loads(text)
    except ValueError:
        return int(status), text


def quoted(text):
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
