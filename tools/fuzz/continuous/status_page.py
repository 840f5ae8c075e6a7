"""The state of all targets as one HTML file that needs no other."""

import html

_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; color: #222; background: #fff; }
table { border-collapse: collapse; } th, td { padding: .3em .6em; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; } td.later { text-align: left; color: #777; } .bad { color: #b00020; font-weight: 600; }
svg { background: #f6f6f6; } polyline { fill: none; stroke: #1a5fb4; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
caption { text-align: left; padding-bottom: .5em; }
"""
_WIDTH, _HEIGHT = 130, 32


def curve(points):
    """A polyline of (x, y), from 0 up."""
    if not points:
        return ""
    points = _thinned(points)
    if len(points) == 1:
        points = [(points[0][0] - 1, points[0][1])] + points
    left, right = points[0][0], max(points[-1][0], points[0][0] + 1)
    top = max(y for _, y in points) or 1
    path = " ".join(
        f"{(x - left) / (right - left) * _WIDTH:.1f},{_HEIGHT - 2 - y / top * (_HEIGHT - 4):.1f}" for x, y in points
    )
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img"><title>0 to {top:,.0f}</title>'
        f'<polyline points="{path}"/></svg>'
    )


def _thinned(points, most=200):
    step = -(-len(points) // most)
    return points[::step] + ([points[-1]] if (len(points) - 1) % step else [])


def page(rows, crashes, seconds, refresh):
    """`rows`: name to its history, dicts of seconds, coverage, executions, slice_seconds, corpus
    and corpus_bytes. `crashes`: dicts of target, what, path and count."""
    out = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Fuzzing</title>",
        f"<meta http-equiv=refresh content={refresh}>" if refresh else "",
        f"<style>{_STYLE}</style><h1>Fuzzing</h1>",
        f"<p>{len(rows)} targets, {seconds / 3600:.2f} hours of all cores together, "
        f"<span class={'bad' if crashes else 'good'}>{len(crashes)} bug{'' if len(crashes) == 1 else 's'}</span></p>",
    ]
    if crashes:
        out.append("<table><tr><th>bug<th>target<th>seen")
        for crash in crashes:
            out.append(
                f'<tr><td><a class=bad href="{html.escape(crash["path"], quote=True)}">{html.escape(crash["what"])}</a>'
                f'<td>{html.escape(crash["target"])}<td>{crash["count"]}'
            )
        out.append("</table><p>")
    out.append(
        "<table><caption>Curves begin at 0 and run over the time that the target had.</caption>"
        "<tr><th>target<th colspan=2>coverage<th colspan=2>executions/s<th colspan=2>corpus<th>bytes<th>minutes"
    )
    for name in sorted(rows):
        history = rows[name]
        if not history:
            out.append(f"<tr><td>{html.escape(name)}<td colspan=8 class=later>not yet")
            continue
        rate = [(h["seconds"], h["executions"] / max(h["slice_seconds"], 1e-3)) for h in history]
        last = history[-1]
        out.append(
            f"<tr><td>{html.escape(name)}<td>{last['coverage']:,}"
            f"<td>{curve([(h['seconds'], h['coverage']) for h in history])}"
            f"<td>{rate[-1][1]:,.0f}<td>{curve(rate)}"
            f"<td>{last['corpus']:,}<td>{curve([(h['seconds'], h['corpus']) for h in history])}"
            f"<td>{last['corpus_bytes']:,}<td>{last['seconds'] / 60:.1f}"
        )
    out.append("</table></html>\n")
    return "\n".join(out)
