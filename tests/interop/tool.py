"""Runs the command-line tool and counts checks."""
import json
import subprocess


class Tool:
    def __init__(self, path, directory):
        self.path, self.directory = path, directory

    def run(self, *arguments):
        return subprocess.run([self.path, *arguments], cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def check(self, names):
        """Returns one verdict for each file; the exit status must agree."""
        done = self.run("check", "--json", *names)
        verdicts = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
        if [v["path"] for v in verdicts] != list(names):
            raise SystemExit("interop: st check gave %d verdicts for %d files: %r" % (len(verdicts), len(names), done.stderr[:300]))
        if (done.returncode != 0) != any(v["status"] != "ST_OK" for v in verdicts):
            raise SystemExit("interop: st check ended with %d, which its verdicts contradict" % done.returncode)
        return verdicts

    def ls(self, name):
        done = self.run("ls", "--json", name)
        return json.loads(done.stdout.decode("utf-8")) if done.returncode == 0 else None

    def cat(self, name, tensor):
        done = self.run("cat", name, tensor)
        return done.stdout if done.returncode == 0 else None


class Tally:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, good, *what):
        """Counts a check; prints `what` for the first 20 failures."""
        if good:
            self.passed += 1
            return
        self.failed += 1
        if self.failed <= 20:
            print("interop: FAILED:", *what, flush=True)
        elif self.failed == 21:
            print("interop: more failures are not shown", flush=True)
