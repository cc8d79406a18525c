#!/usr/bin/env python3
"""Recomputes the figures of a report from its trials.jsonl alone, and compares.

usage: recompute_report.py REPORT_FOLDER [--bootstrap] [--tolerance X]

Standard library only, and written from the definitions, not from the program: a second opinion.
Without --bootstrap the intervals of paired differences and the shuffled baseline of mutual
information, which need the program's random streams, are left out (they take a while in Python).
Exit code 1 if a figure differs by more than the tolerance.
"""
import argparse
import collections
import json
import math
import pathlib
import statistics
import sys

NORMAL = statistics.NormalDist()
Z95 = 1.959963984540054
MASK = (1 << 64) - 1


class RandomStream:
    """SplitMix64, started from the seed and the FNV-1a hash of the stream's name."""

    def __init__(self, seed, name):
        value = 0xCBF29CE484222325
        for byte in name.encode():
            value = ((value ^ byte) * 0x100000001B3) & MASK
        self.state = self.mix(self.mix((seed + 1) & MASK) ^ value)

    @staticmethod
    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, n):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        return (self.mix(self.state) * n) >> 64

    def permutation(self, n):
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            k = self.below(i + 1)
            order[i], order[k] = order[k], order[i]
        return order


def wilson(p, n):
    center = (p + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * math.sqrt(p * (1 - p) / n + Z95**2 / (4 * n * n))
    return [p, 0.0 if p == 0 else center - half, 1.0 if p == 1 else center + half]


def cluster_of(trial):
    """Injected trials of one concept, or of one random direction, belong together."""
    if trial["truth"] != "injected":
        return trial["id"]
    return trial.get("concept") or trial["id"].rpartition("/")[0]


def clustered_variance(values, clusters):
    """Of the mean of the values, with the variance between clusters."""
    n, mean, sums = len(values), statistics.fmean(values), collections.defaultdict(float)
    for value, cluster in zip(values, clusters):
        sums[cluster] += value - mean
    m = len(sums)
    return m / (m - 1) * sum(s * s for s in sums.values()) / n**2 if m > 1 else 0.0


def clustered_share(trials, test):
    """Wilson's interval at the effective number of trials."""
    if not trials:
        return None
    values, clusters = [float(test(t)) for t in trials], [cluster_of(t) for t in trials]
    n, m, p = len(values), len(set(clusters)), statistics.fmean(values)
    if m == n:
        return wilson(p, n)
    if p in (0, 1) or m < 2:
        return wilson(p, m)
    return wilson(p, n / max(1.0, clustered_variance(values, clusters) / (p * (1 - p) / n)))


def d_prime(hits, n_signal, false_alarms, n_noise):
    if not n_signal or not n_noise:
        return None
    z = lambda count, n: NORMAL.inv_cdf((count + 0.5) / (n + 1))
    return z(hits, n_signal) - z(false_alarms, n_noise)


def auroc(signal, clusters, noise):
    if not signal or not noise:
        return None
    wins = [[(s > n) + 0.5 * (s == n) for n in noise] for s in signal]
    by_signal = [statistics.fmean(row) for row in wins]
    by_noise = [statistics.fmean(column) for column in zip(*wins)]
    area = statistics.fmean(by_signal)
    half = Z95 * math.sqrt(
        clustered_variance(by_signal, clusters) + clustered_variance(by_noise, range(len(noise)))
    )
    return [area, max(0.0, area - half), min(1.0, area + half)]


def pearson(x, y):
    if len(x) < 2:
        return None
    mx, my = statistics.fmean(x), statistics.fmean(y)
    xy = sum((a - mx) * (b - my) for a, b in zip(x, y))
    xx, yy = sum((a - mx) ** 2 for a in x), sum((b - my) ** 2 for b in y)
    floor = 1e-24 * len(x)
    return None if xx <= floor or yy <= floor else xy / math.sqrt(xx * yy)


def quantile(values, p):
    values = sorted(values)
    place = p * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])


def bits(truth, guess):
    n = len(truth)
    joint, a, b = (collections.Counter(k) for k in (zip(truth, guess), truth, guess))
    return sum(c / n * math.log2(c * n / (a[t] * b[g])) for (t, g), c in joint.items())


def macro_f1(truth, guess):
    in_truth, in_guess = collections.Counter(truth), collections.Counter(guess)
    right = collections.Counter(t for t, g in zip(truth, guess) if t == g)
    return statistics.fmean(2 * right[t] / (n + in_guess[t]) for t, n in in_truth.items())


def is_signal(trial):
    if trial["truth"] == "injected":
        return trial.get("dose", 0) > 0
    return trial.get("concept") != "nothing to report"


def identification(trials, key, options, shuffle):
    trials = [t for t in trials if "rank" in t]
    if not trials:
        return None
    n = len(trials)
    count = lambda test: clustered_share(trials, test)
    truth = [t["concept"] for t in trials]
    guess = [t["concept"] if t["rank"] <= 1 else t.get("guess", "") for t in trials]
    families = [t.get("family", "") for t in trials]
    # A right guess may be one of several labels, of another family than the first.
    read = [t.get("family" if t["rank"] <= 1 else "guess_family", "") for t in trials]
    result = {
        "n": n,
        "top1": count(lambda t: t["rank"] <= 1),
        "top5": count(lambda t: t["rank"] <= 5),
        "near": count(lambda t: t.get("near", False)),
        # Words without a family are only right or wrong themselves.
        "family": count(
            lambda t: t["rank"] <= 1 or t.get("family", "") == t.get("guess_family") != ""
        ),
        "macro_f1": macro_f1(truth, guess),
        "median_rank": quantile([t["rank"] for t in trials], 0.5),
    }
    for name, stream, a, b in (
        ("information", "information/", truth, guess),
        ("family_information", "family information/", families, read),
    ):
        result[name] = {"plug_in": bits(a, b)}
        if shuffle:
            random = RandomStream(options["seed"], stream + "/".join(key))
            total = 0.0
            for _ in range(options["shuffles"]):
                order = random.permutation(n)
                total += bits(a, [b[k] for k in order]) / options["shuffles"]
            result[name]["shuffled"] = total
            result[name]["bits"] = max(0.0, result[name]["plug_in"] - total)
    return result


def detection(trials, noise):
    signal = [t for t in trials if "detection" in t and is_signal(t)]
    if not signal:
        return None
    once = {}
    for t in noise:
        if "detection" in t:
            once.setdefault(t["transcript"], t)
    absent = list(once.values())
    hits = sum(t.get("detected", False) for t in signal)
    alarms = sum(t.get("detected", False) for t in absent)
    a, b = [t["detection"] for t in signal], [t["detection"] for t in absent]
    return {
        "n_signal": len(a),
        "n_noise": len(b),
        "hit_rate": clustered_share(signal, lambda t: t.get("detected", False)),
        "false_alarm_rate": wilson(alarms / len(b), len(b)) if b else None,
        "d_prime": d_prime(hits, len(a), alarms, len(b)),
        "auroc": auroc(a, [cluster_of(t) for t in signal], b),
        "mean_signal": statistics.fmean(a),
        "mean_noise": statistics.fmean(b) if b else None,
    }


def affect(trials, name):
    pairs = [(t[name], t["truth_" + name]) for t in trials if name in t and "truth_" + name in t]
    if not pairs:
        return None
    x, y = zip(*pairs)
    return {
        "n": len(pairs),
        "mae": statistics.fmean(abs(a - b) for a, b in pairs),
        "correlation": pearson(x, y),
    }


def calibration(trials):
    trials = [t for t in trials if "confidence" in t and "brier" in t]
    if not trials:
        return None
    bins = [[] for _ in range(15)]
    for t in trials:
        bins[min(14, int(t["confidence"] * 15))].append(t)
    mean = lambda part, name: statistics.fmean(float(t.get(name, False)) for t in part)
    return {
        "n": len(trials),
        "accuracy": mean(trials, "correct"),
        "mean_confidence": mean(trials, "confidence"),
        "ece_by_chance": sum(
            math.sqrt(2 / math.pi * sum(t["confidence"] * (1 - t["confidence"]) for t in b))
            for b in bins
        )
        / len(trials),
        "ece": sum(
            len(b) * abs(mean(b, "confidence") - mean(b, "correct")) for b in bins if b
        ) / len(trials),
        "brier": mean(trials, "brier"),
        "bins": [
            {
                "n": len(b),
                "confidence": mean(b, "confidence") if b else 0,
                "accuracy": mean(b, "correct") if b else 0,
            }
            for b in bins
        ],
    }


def key_of(trial):
    return (trial["truth"], trial["subset"], trial["channel"], trial["variant"],
            trial.get("reading", ""), trial.get("dose_level", ""))


def group_figures(key, groups, options, shuffle):
    trials = groups[key]
    truth, subset, channel, variant, reading, _ = key
    if truth == "injected":
        noise = [t for s in ("seen", "unseen", "random")
                 for t in groups.get((truth, s, channel, variant, reading, "0"), [])]
    else:
        test = groups.get((truth, "test", channel, variant, reading, ""), [])
        noise = [t for t in test if not is_signal(t)]
    share = lambda name: clustered_share(trials, lambda t: t.get(name, False))
    result = {
        "n": len(trials),
        "n_transcripts": len({t["transcript"] for t in trials}),
        "n_concepts": len({t.get("concept", "") for t in trials}),
        "identification": identification(trials, key, options, shuffle),
        "detection": detection(trials, noise),
        "valence": affect(trials, "valence"),
        "arousal": affect(trials, "arousal"),
        "calibration": calibration(trials),
        "abstained": share("abstained"),
        "refused": share("refused"),
    }
    extra = collections.defaultdict(list)
    for t in trials:
        for name, value in t.get("extra", {}).items():
            extra[name].append((value, cluster_of(t)))
    if extra:
        result["extra"] = {}
        for name, pairs in extra.items():
            values, clusters = zip(*pairs)
            mean = statistics.fmean(values)
            half = Z95 * math.sqrt(clustered_variance(values, clusters))
            result["extra"][name] = [mean, mean - half, mean + half]
    return result


def comparison_figures(entry, groups, options, bootstrap):
    truth, subset, dose = entry["truth"], entry["subset"], entry.get("dose_level", "")
    side = lambda s: (s["channel"], s["variant"], s.get("reading", ""))
    a, b = side(entry["a"]), side(entry["b"])
    left = groups[(truth, subset, *a, dose)]
    right = {t["id"]: t for t in groups[(truth, subset, *b, dose)]}
    pairs = [(t, right[t["id"]]) for t in left
             if t["id"] in right and "rank" in t and "rank" in right[t["id"]]]
    n = len(pairs)
    result = {
        "n_trials": n,
        "n_concepts": len({t["concept"] for t, _ in pairs}),
        "a_top1": sum(t["rank"] <= 1 for t, _ in pairs) / n,
        "b_top1": sum(t["rank"] <= 1 for _, t in pairs) / n,
    }
    for name, limit in (("top1", 1), ("top5", 5)):
        clusters = {}
        for t, u in pairs:
            sums = clusters.setdefault(t["concept"], [0, 0])
            sums[0] += (t["rank"] <= limit) - (u["rank"] <= limit)
            sums[1] += 1
        mean = sum(s for s, _ in clusters.values()) / n
        result[name] = [mean]
        if bootstrap:
            stream = "/".join(("bootstrap", truth, subset, dose, *a, *b, name))
            random, members, means = RandomStream(options["seed"], stream), list(clusters.values()), []
            for _ in range(options["bootstrap"]):
                drawn = [members[random.below(len(members))] for _ in members]
                means.append(sum(s for s, _ in drawn) / sum(c for _, c in drawn))
            result[name] += [quantile(means, 0.025), quantile(means, 0.975)]
    return result


def differences(mine, theirs, tolerance, where, out):
    """Figures of `mine` that `theirs` does not have, or has otherwise."""
    if isinstance(mine, dict):
        if not isinstance(theirs, dict):
            out.append(f"{where}: {mine!r} here, {theirs!r} in the report")
            return
        for name, value in mine.items():
            differences(value, theirs.get(name), tolerance, f"{where}.{name}", out)
    elif isinstance(mine, (list, tuple)):
        if not isinstance(theirs, list) or len(theirs) < len(mine):
            out.append(f"{where}: {mine!r} here, {theirs!r} in the report")
            return
        for i, value in enumerate(mine):
            differences(value, theirs[i], tolerance, f"{where}[{i}]", out)
    elif mine is None or theirs is None:
        if mine is not theirs:
            out.append(f"{where}: {mine!r} here, {theirs!r} in the report")
    elif abs(mine - theirs) > tolerance:
        out.append(f"{where}: {mine:.6f} here, {theirs:.6f} in the report")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--bootstrap", action="store_true", help="random intervals too")
    parser.add_argument("--tolerance", type=float, default=2e-6)
    args = parser.parse_args()
    report = json.loads((args.folder / "report.json").read_text(encoding="utf-8"))
    with open(args.folder / "trials.jsonl", encoding="utf-8") as file:
        trials = [json.loads(line) for line in file]
    groups = collections.defaultdict(list)
    for trial in trials:
        key = key_of(trial)
        groups[key].append(trial)
        if trial["truth"] == "injected" and trial.get("dose", 0) > 0:
            groups[key[:-1] + ("all",)].append(trial)
    options, found, figures = report["summary_options"], [], 0
    seen = set()
    for theirs in report["groups"]:
        key = key_of(theirs)
        seen.add(key)
        if key not in groups:
            found.append(f"{'/'.join(key)}: in the report, but not among the trials")
            continue
        mine = group_figures(key, groups, options, args.bootstrap)
        differences(mine, theirs, args.tolerance, "/".join(key), found)
        figures += 1
    found += [f"{'/'.join(k)}: among the trials, but not in the report" for k in groups if k not in seen]
    for theirs in report["comparisons"]:
        mine = comparison_figures(theirs, groups, options, args.bootstrap)
        where = f"{theirs['truth']}/{theirs['subset']}: {theirs['a']} - {theirs['b']}"
        differences(mine, theirs, args.tolerance, where, found)
        figures += 1
    for line in found[:50]:
        print(line)
    print(f"{figures} groups and comparisons of {len(trials)} lines recomputed, "
          f"{len(found)} figures differ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
