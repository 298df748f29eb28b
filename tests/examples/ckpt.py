"""ckpt.py PART CKPT: compares the checkpoint manager with Python's datetime and json, or races with it."""
import datetime, json, os, random, shutil, subprocess, sys, threading, time

part, ckpt = sys.argv[1:3]
# winter and summer time, without a database of time zones
os.environ["TZ"] = "EST5EDT,M3.2.0,M11.1.0"
time.tzset()
random.seed(7)


def run(*arguments):
    done = subprocess.run([ckpt, *arguments], capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def timestamp(base):
    """Returns a time as ISO 8601 text."""
    zone = random.choice([None, datetime.timezone.utc, datetime.timezone(datetime.timedelta(hours=5, minutes=30)),
                          datetime.timezone(datetime.timedelta(hours=-11))])
    when = datetime.datetime.fromtimestamp(base, tz=zone)
    if random.random() < 0.5:
        when = when.replace(microsecond=0)
    text = when.isoformat(sep=random.choice("T "))
    return text.replace("+00:00", "Z") if random.random() < 0.5 else text


def order():
    """The order of rotation is that of Python for random manifests, times and numbers."""
    for turn in range(12):
        shutil.rmtree("python", ignore_errors=True)
        keys = {}
        for i in random.sample(range(3000), 40):
            path = f"python/checkpoints/checkpoint-{i}"
            os.makedirs(path)
            base = random.choice([1e9, 1.7e9, 1.71e9, 1.75e9]) + random.choice([0, 0.25, random.randrange(10**7)])
            kind = random.randrange(4)
            if kind < 2:
                text = timestamp(base)
                with open(path + "/checkpoint_manifest.json", "w") as f:
                    json.dump({"step": i, "timestamp": text, "more": {"timestamp": "x"}}, f)
                key = datetime.datetime.fromisoformat(text).timestamp()
            elif kind == 2:
                with open(path + "/checkpoint_manifest.json", "w") as f:
                    f.write(random.choice(["{", "[]", '{"timestamp": "2026-13-01T00:00:00"}', '{"timestamp": null}']))
            os.utime(path, ns=(int(base * 1e9) + 1, int(base * 1e9)))
            if kind >= 2:
                key = os.stat(path).st_mtime_ns / 1e9
            keys[path] = (key, i)
        wanted = sorted(keys, key=keys.get)
        status, out, _ = run("rotate", "python", "--max", "1", "--dry-run")
        got = json.loads(out)
        assert status == 0 and got["deleted"] == wanted[:-1] and got["kept"] == wanted[-1:], (got["deleted"], wanted)


def metrics():
    """Python reads what is saved, and agrees about the best."""
    for turn in range(6):
        shutil.rmtree("python", ignore_errors=True)
        values = {}
        for i in range(12):
            path = f"python/checkpoints/checkpoint-{i}"
            value = random.choice([0.0, -0.0, random.gauss(0, 1), random.gauss(0, 1) * 1e-300, 1.5, float("nan")])
            os.makedirs(path)
            if i % 2 or value != value:
                with open(path + "/eval_metrics.json", "w") as f:
                    json.dump({"step": i, "eval_score": value}, f, indent=2)
            else:
                status, out, err = run("save-metrics", path, f"step={i}", f"score={value!r}")
                assert status == 0, err
                with open(path + "/eval_metrics.json") as f:
                    text = f.read()
                assert text == json.dumps({"step": i, "score": value}, indent=2), text
            os.utime(path, (1e9 + i, 1e9 + i))
            assert ("null" if value != value else repr(value)) in run("metrics", path)[1]
            if value == value:
                values[path] = value
        for direction, sign in (("--greater", -1), ("--smaller", 1)):
            n = random.randrange(1, 14)
            status, out, _ = run("best", "python", "--metric", "score", "--n", str(n), direction)
            best = json.loads(out)["best"]
            wanted = sorted(values, key=lambda p: sign * values[p])[:n]
            assert status == 0 and [b["path"] for b in best] == wanted, (best, wanted)
            assert [b["value"] for b in best] == [values[p] for p in wanted], best


def swap():
    """While rotations run, checkpoints are replaced by links to a directory that must stay whole."""
    os.makedirs("whole/inside/deep", exist_ok=True)
    for name in ("whole/a", "whole/inside/b", "whole/inside/deep/c"):
        open(name, "w").close()
    stop = False

    def replace():
        while not stop:
            for where in ("swapped/checkpoints/checkpoint-1", "swapped/checkpoints/checkpoint-2/inside"):
                try:
                    os.rename(where, "swapped/away")
                    os.symlink(os.path.abspath("whole"), where)
                    os.unlink(where)
                    os.rename("swapped/away", where)
                except OSError:
                    shutil.rmtree("swapped/away", ignore_errors=True)

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        for turn in range(60):
            for i in (1, 2, 3):
                os.makedirs(f"swapped/checkpoints/checkpoint-{i}/inside/deep", exist_ok=True)
                open(f"swapped/checkpoints/checkpoint-{i}/inside/deep/x", "w").close()
            run("rotate", "swapped", "--max", "1")
            for name in ("whole/a", "whole/inside/b", "whole/inside/deep/c"):
                assert os.path.exists(name), "something outside was deleted"
    except OSError:
        pass  # the other thread was between two steps
    finally:
        stop = True
        thread.join()


{"order": order, "metrics": metrics, "swap": swap}[part]()
