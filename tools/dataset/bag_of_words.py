"""A multinomial naive Bayes over words, and which words tell a class: what a text gives away
without being read."""

import collections
import math


class NaiveBayes:
    """Log-probabilities of classes from the words that stand in a text, each counted once.

    McCallum and Nigam (1998) with add-alpha smoothing. The class priors are left out: the dataset's
    classes are about equally large by design.
    """

    def __init__(self, texts, labels, alpha):
        counts = collections.defaultdict(collections.Counter)
        for words, label in zip(texts, labels):
            counts[label].update(set(words))
        self.classes = sorted(counts)
        vocabulary = sorted(set().union(*counts.values()))
        totals = {label: sum(counts[label].values()) + alpha * len(vocabulary)
                  for label in self.classes}
        # Words that a class never had all weigh the same; only the others are held.
        self._unseen = [math.log(alpha / totals[label]) for label in self.classes]
        self._seen = {word: [] for word in vocabulary}
        for i, label in enumerate(self.classes):
            for word, n in counts[label].items():
                gain = math.log((n + alpha) / totals[label]) - self._unseen[i]
                self._seen[word].append((i, gain))

    def log_p(self, words):
        """Normalised log-probability of every class, in the order of `classes`."""
        known = [word for word in sorted(set(words)) if word in self._seen]
        scores = [len(known) * unseen for unseen in self._unseen]
        for word in known:
            for i, gain in self._seen[word]:
                scores[i] += gain
        top = max(scores)
        norm = top + math.log(sum(math.exp(score - top) for score in scores))
        return [score - norm for score in scores]


def telling_words(texts, labels, how_many, min_texts=3):
    """For every class the words that mark it most: (word, z, texts of the class, other texts).

    z is the log odds ratio of standing in a text of the class rather than in another one, with half
    a text added to each cell, over its standard error.
    """
    inside = collections.defaultdict(collections.Counter)
    everywhere = collections.Counter()
    sizes = collections.Counter(labels)
    for words, label in zip(texts, labels):
        found = set(words)
        inside[label].update(found)
        everywhere.update(found)
    result = {}
    for label in sorted(sizes):
        others = len(labels) - sizes[label]
        scored = []
        for word, n in inside[label].items():
            if n < min_texts:
                continue
            cells = (n + 0.5, sizes[label] - n + 0.5, everywhere[word] - n + 0.5,
                     others - everywhere[word] + n + 0.5)
            odds = math.log(cells[0] * cells[3] / (cells[1] * cells[2]))
            z = odds / math.sqrt(sum(1 / cell for cell in cells))
            scored.append((word, round(z, 2), n, everywhere[word] - n))
        result[label] = sorted(scored, key=lambda row: (-row[1], row[0]))[:how_many]
    return result


def wilson(hits, n, z=1.96):
    """Wilson's 95 % interval of a proportion."""
    if n == 0:
        return [0.0, 1.0]
    p = hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return [round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)]


def auroc(positive, negative):
    """The chance that a positive score is above a negative one; ties count half."""
    ranked = sorted([(score, 1) for score in positive] + [(score, 0) for score in negative])
    wins, below, i = 0.0, 0, 0
    while i < len(ranked):
        j = i
        while j < len(ranked) and ranked[j][0] == ranked[i][0]:
            j += 1
        n_positive = sum(is_positive for _, is_positive in ranked[i:j])
        n_negative = j - i - n_positive
        wins += n_positive * (below + n_negative / 2)
        below += n_negative
        i = j
    return wins / max(1, len(positive) * len(negative))
