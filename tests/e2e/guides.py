"""The commands of docs/guides, taken from there and run as they stand: each ```sh block by its name, which is the second
word after the fence. At the end every block of every guide has been run."""
import re
import subprocess

from place import ROOT, NotSeen, say

BLOCK = re.compile(r"^```sh[ ]*(\S*)\n(.*?)^```$", re.M | re.S)


class Guides:
    def __init__(self, node):
        self.node, self.blocks, self.done = node, {}, set()
        for page in sorted((ROOT / "docs/guides").glob("*.md")):
            text = page.read_text()
            if text.count("```") != 2 * len(BLOCK.findall(text)):
                raise NotSeen(f"{page.name}: every block is one of commands, which is run")
            for name, text in BLOCK.findall(text):
                key = page.stem, name
                if not name or key in self.blocks:
                    raise NotSeen(f"{page.name}: each sh block has a name of its own, not {name!r}")
                self.blocks[key] = text

    def run(self, page, *names, timeout=240, **variables):
        said = ""
        for name in names:
            text = self.blocks.get((page, name))
            if text is None:
                raise NotSeen(f"docs/guides/{page}.md has no block {name}")
            self.done.add((page, name))
            for line in text.splitlines():
                say(f"  $ {line}")
            try:
                done = subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=self.node.work, env=self.node.environment | variables,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
            except subprocess.TimeoutExpired as error:
                raise NotSeen(f"docs/guides/{page}.md, {name}: no end after {timeout} s\n{(error.stdout or b'').decode()}") from None
            if done.returncode:
                raise NotSeen(f"docs/guides/{page}.md, {name}: exit code {done.returncode}\n{done.stdout}")
            said += done.stdout
        return said

    def left(self):
        return sorted(set(self.blocks) - self.done)
