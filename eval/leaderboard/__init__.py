"""From scores to who leads: the board of all systems, and two systems side by side.

Knows the tidy table of scores and the facts of metrics; neither how scores are stored nor how tables
are drawn.
"""

from eval.leaderboard.board import build_board
from eval.leaderboard.comparison import Comparison, compare
from eval.leaderboard.labels import TAGS
from eval.leaderboard.prepared import PreparedScores, prepare_scores
from eval.leaderboard.records import ACCOUNTS, Board, Cell, Contrast
from eval.leaderboard.scores import SCORE_COLUMNS, check_scores, select_scores

__all__ = [
    "ACCOUNTS",
    "SCORE_COLUMNS",
    "TAGS",
    "Board",
    "Cell",
    "Comparison",
    "Contrast",
    "PreparedScores",
    "build_board",
    "check_scores",
    "compare",
    "prepare_scores",
    "select_scores",
]
