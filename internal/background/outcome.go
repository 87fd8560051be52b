package background

import "time"

// Pace is the backoff between retries: First after the first failure, doubled
// after each further one, at most Max.
type Pace struct{ First, Max time.Duration }

// delay returns the pause after failures ≥ 1 failures in a row.
func (p Pace) delay(failures int) time.Duration {
	d := p.First
	for ; failures > 1 && d < p.Max; failures-- {
		d *= 2
	}
	return min(d, p.Max)
}

// Outcome is the result of the latest attempts. The zero value means that the last
// one succeeded or that there was none.
type Outcome struct {
	Failures int       // in a row; 0 = the last attempt succeeded
	Since    time.Time // time of the first of these failures
	Next     time.Time // no attempt before this time
	Err      error     // of the last failure
}

// Failed returns the outcome after a further attempt that failed now.
func (o Outcome) Failed(err error, now time.Time, p Pace) Outcome {
	if o.Failures == 0 {
		o.Since = now
	}
	o.Failures++
	o.Err = err
	o.Next = now.Add(p.delay(o.Failures))
	return o
}

// Due reports whether an attempt may be made now.
func (o Outcome) Due(now time.Time) bool { return !now.Before(o.Next) }
