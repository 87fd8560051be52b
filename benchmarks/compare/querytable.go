package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// writeTable writes the outcomes as Markdown: medians of cold · warm. Ratios above
// the goal are bold.
func writeTable(w io.Writer, peers []peer, outcomes []outcome) {
	fmt.Fprint(w, "| query | series |")
	for i, p := range peers {
		fmt.Fprintf(w, " %s, ms |", p.Name)
		if i > 0 {
			fmt.Fprint(w, " time | CPU |")
		}
	}
	fmt.Fprint(w, " peak RSS above idle, MB |\n|---|---:|")
	fmt.Fprintf(w, "%s\n", strings.Repeat("---:|", 3*len(peers)-1))
	for _, o := range outcomes {
		ours := medianTurn(o.turns[0])
		fmt.Fprintf(w, "| %s | %d |", o.name, o.series)
		for i, p := range peers {
			theirs := medianTurn(o.turns[i])
			fmt.Fprintf(w, " %s · %s |", milliseconds(theirs.cold.wall), milliseconds(theirs.warm.wall))
			if i > 0 {
				fmt.Fprintf(w, " %s · %s |", p.timeShare(ours.cold, theirs.cold), p.timeShare(ours.warm, theirs.warm))
				fmt.Fprintf(w, " %s · %s |", share(ours.cold.cpu, theirs.cold.cpu, p.cpu), share(ours.warm.cpu, theirs.warm.cpu, p.cpu))
			}
		}
		var peaks []string
		for i, x := range o.examined {
			if o.failed[i] != nil {
				peaks = append(peaks, "–")
				continue
			}
			peaks = append(peaks, fmt.Sprintf("%.0f", float64(x.peak)/1e6))
		}
		fmt.Fprintf(w, " %s |\n", strings.Join(peaks, " · "))
	}
}

// timeShare returns the ratio of our time to that of the peer.
func (g goal) timeShare(ours, theirs cost) string {
	if theirs.wall < briefTime {
		return share(ours.wall, theirs.wall, g.brief)
	}
	return share(ours.wall, theirs.wall, g.time)
}

// share returns ours ÷ theirs as text, bold if it is above limit; 0 = no limit.
// Zero durations were not measured.
func share(ours, theirs time.Duration, limit float64) string {
	if ours == 0 || theirs == 0 {
		return "–"
	}
	s := float64(ours) / float64(theirs)
	text := fmt.Sprintf("%.2f", s)
	if s < 0.095 {
		text = fmt.Sprintf("%.3f", s)
	}
	if limit > 0 && s > limit {
		return "**" + text + "**"
	}
	return text
}

func milliseconds(d time.Duration) string {
	switch ms := d.Seconds() * 1e3; {
	case d == 0:
		return "–"
	case ms < 9.95:
		return fmt.Sprintf("%.2f", ms)
	case ms < 99.5:
		return fmt.Sprintf("%.1f", ms)
	default:
		return fmt.Sprintf("%.0f", ms)
	}
}

// medianTurn returns the medians, field by field.
func medianTurn(turns []asked) asked {
	return asked{
		cold: cost{
			wall: middle(turns, func(a asked) time.Duration { return a.cold.wall }),
			cpu:  middle(turns, func(a asked) time.Duration { return a.cold.cpu }),
		},
		warm: cost{
			wall: middle(turns, func(a asked) time.Duration { return a.warm.wall }),
			cpu:  middle(turns, func(a asked) time.Duration { return a.warm.cpu }),
		},
	}
}
