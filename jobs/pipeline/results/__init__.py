"""From rows to figures: summary, intervals, leaderboard."""
