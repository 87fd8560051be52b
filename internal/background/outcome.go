package background

import "time"

// Pace spaces the repetitions of something that fails: First after the first
// failure, twice as long after each further one, Max at most.
type Pace struct{ First, Max time.Duration }

// delay returns the pause after a number of failures in a row, at least one.
func (p Pace) delay(failures int) time.Duration {
	d := p.First
	for ; failures > 1 && d < p.Max; failures-- {
		d *= 2
	}
	return min(d, p.Max)
}

// Outcome is the result of the last attempts at something. The zero value says
// that nothing has failed.
type Outcome struct {
	Failures int       // in a row; 0 = the last attempt succeeded
	Since    time.Time // time of the first of them
	Next     time.Time // no attempt before this time
	Err      error     // of the last of them
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
