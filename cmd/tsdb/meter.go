package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"tsdb/internal/model"
	"tsdb/internal/transfer"
)

// Paces of the progress: on a terminal a line is drawn again, elsewhere lines are added.
const (
	meterEvery     = 200 * time.Millisecond
	meterLineEvery = 10 * time.Second
)

// meter shows the progress of a transfer.
type meter struct {
	w        io.Writer
	terminal bool
	every    time.Duration
	began    time.Time
	phase    time.Time // when the reading or writing began
	scan     bool
	last     time.Time
	drawn    bool
	calls    int
}

func newMeter(w io.Writer) *meter {
	m := &meter{w: w, every: meterLineEvery, began: time.Now()}
	if f, ok := w.(*os.File); ok {
		if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
			m.terminal, m.every = true, meterEvery
		}
	}
	m.phase, m.last = m.began, m.began
	return m
}

func (m *meter) took() time.Duration { return time.Since(m.began) }

// report shows the progress if it is time.
func (m *meter) report(p transfer.Progress) {
	if m.calls++; m.calls%16 != 0 { // the clock is read for one series in 16
		return
	}
	now := time.Now()
	if p.Scan != m.scan {
		m.scan, m.phase = p.Scan, now
	}
	if now.Sub(m.last) < m.every {
		return
	}
	m.last = now
	line := progressLine(p, now.Sub(m.phase))
	if m.terminal {
		fmt.Fprintf(m.w, "\r\x1b[K%s", line)
		m.drawn = true
		return
	}
	fmt.Fprintln(m.w, line)
}

// end leaves the line of the terminal.
func (m *meter) end() {
	if m.drawn {
		fmt.Fprintln(m.w)
	}
}

// progressLine describes how far a transfer is.
func progressLine(p transfer.Progress, took time.Duration) string {
	const width = 20
	var b strings.Builder
	if p.Scan {
		b.WriteString("reading ")
	}
	if p.Total > 0 {
		share := min(float64(p.Done)/float64(p.Total), 1)
		n := int(share * width)
		fmt.Fprintf(&b, "[%s%s] %3.0f%% ", strings.Repeat("#", n), strings.Repeat(".", width-n), share*100)
	}
	fmt.Fprintf(&b, "%s  %s samples", p.Unit, thousands(p.Samples))
	if s := took.Seconds(); s > 0 {
		fmt.Fprintf(&b, ", %s/s", thousands(int64(float64(p.Samples)/s)))
	}
	if p.Refused > 0 {
		fmt.Fprintf(&b, ", %s refused", thousands(p.Refused))
	}
	if left, ok := p.Left(took); ok {
		fmt.Fprintf(&b, ", %s left", left.Round(time.Second))
	}
	return b.String()
}

// thousands writes a number with separators.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// summarise prints what an import did.
func (c *importConfig) summarise(w io.Writer, sum transfer.Summary, took time.Duration, err error) {
	if err != nil && sum.Read == 0 {
		return
	}
	verb := "imported"
	if c.dryRun {
		verb = "would be imported"
	}
	fmt.Fprintf(w, "%s samples read in %s", thousands(sum.Read), took.Round(time.Millisecond))
	if s := took.Seconds(); sum.Read > 0 && s > 0 {
		fmt.Fprintf(w, " (%s/s)", thousands(int64(float64(sum.Read)/s)))
	}
	fmt.Fprintf(w, ", %s %s", thousands(sum.Samples), verb)
	if sum.Blocks > 0 {
		fmt.Fprintf(w, " into %s of %s bytes, %d in the final form", model.FormatCount(sum.Blocks, "block"), thousands(sum.Bytes), sum.Direct)
	}
	fmt.Fprintln(w)
	if sum.Min <= sum.Max {
		fmt.Fprintf(w, "from %s to %s\n", model.FormatTime(sum.Min), model.FormatTime(sum.Max))
	}
	if sum.Skipped > 0 {
		fmt.Fprintf(w, "%s of the source had been imported before\n", model.FormatCount(sum.Skipped, "part"))
	}
	for _, x := range sum.Rejected {
		fmt.Fprintf(w, "refused: %s, %s", thousands(x.Count), x.Reason)
		if x.Rule != "" {
			fmt.Fprintf(w, " by the rule %s", x.Rule)
		}
		fmt.Fprintf(w, ": %s", x.Detail)
		if x.Series != "" {
			fmt.Fprintf(w, " (%s)", x.Series)
		}
		fmt.Fprintln(w)
	}
}
