package background

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// progressEvery is how often the progress of a step is logged that takes long.
const progressEvery = time.Minute

// Work is what a step does, and how far it is.
type Work struct {
	What  string // "" = the step has not said
	Unit  string // of Done and Total: series, samples, bytes
	Done  uint64
	Total uint64 // 0 = not known before the end
}

// Share returns how much of the work is done, from 0 to 1; 0 if that is not known.
func (w Work) Share() float64 {
	if w.Total == 0 {
		return 0
	}
	return min(1, float64(w.Done)/float64(w.Total))
}

// LastWork is the last step that has said what it did, and has ended.
type LastWork struct {
	What  string    // "" = there was none
	Ended time.Time // zero = there was none
	Took  time.Duration
}

// Activity describes what a job does.
type Activity struct {
	Job     string
	Running bool
	Began   time.Time // of the last step; zero = none
	Ended   time.Time // of the last step that ended; zero = none
	Work    Work      // of the step under way
	Last    LastWork
	Steps   uint64  // that have ended
	Seconds float64 // that all of these took
	Outcome
}

// Activities returns what all jobs do, in the order of their creation.
func (js *Jobs) Activities() []Activity {
	js.mu.Lock()
	defer js.mu.Unlock()
	list := make([]Activity, len(js.list))
	for i, j := range js.list {
		list[i] = j.Activity()
	}
	return list
}

// Activity returns what the job does.
func (j *Job) Activity() Activity {
	j.mu.Lock()
	defer j.mu.Unlock()
	return Activity{
		Job: j.name, Running: j.running > 0, Began: j.began, Ended: j.ended, Work: j.work, Last: j.last,
		Steps: j.steps, Seconds: j.seconds.Seconds(), Outcome: j.outcome,
	}
}

// begin notes a step that begins and returns a function to call at its end.
func (j *Job) begin() (end func()) {
	began := j.jobs.clock.Now()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.running++
	j.began, j.shown, j.work = began, began, Work{}
	return func() {
		now := j.jobs.clock.Now()
		j.mu.Lock()
		defer j.mu.Unlock()
		j.running--
		if j.work.What != "" {
			j.last = LastWork{What: j.work.What, Ended: now, Took: now.Sub(began)}
		}
		j.ended, j.work = now, Work{}
		j.steps++
		j.seconds += now.Sub(began)
	}
}

// Working says what the step under way does, and how far it is. A step that takes minutes
// calls it at least a few times a minute, so that the log shows it.
func (j *Job) Working(w Work) {
	now := j.jobs.clock.Now()
	j.mu.Lock()
	if j.running == 0 {
		j.mu.Unlock()
		return
	}
	j.work = w
	began, show := j.began, now.Sub(j.shown) >= progressEvery
	if show {
		j.shown = now
	}
	j.mu.Unlock()
	if show {
		j.jobs.log.Info("background job is under way", "job", j.name, "what", w.What, "done", w.Done, "total", w.Total, "unit", w.Unit, "for", now.Sub(began))
	}
}

// Progress says what the step under way does, and returns a function that says how far it
// is: see Working.
func (j *Job) Progress(what, unit string) func(done, total uint64) {
	j.Working(Work{What: what, Unit: unit})
	return func(done, total uint64) { j.Working(Work{What: what, Unit: unit, Done: done, Total: total}) }
}

// activityCollector makes metrics of what jobs do.
type activityCollector struct {
	jobs                              *Jobs
	running, progress, steps, seconds *prometheus.Desc
}

func newActivityCollector(js *Jobs) *activityCollector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, []string{"job"}, nil)
	}
	return &activityCollector{
		jobs:     js,
		running:  desc("tsdb_background_running", "1 while a step of a background job is under way, by job."),
		progress: desc("tsdb_background_progress_ratio", "How much of the step under way is done, from 0 to 1, by job; 0 if none is, or the job cannot tell."),
		steps:    desc("tsdb_background_steps_total", "Steps of background jobs that have ended, by job. A look that finds nothing to do is one."),
		seconds:  desc("tsdb_background_seconds_total", "Time that the steps of background jobs took, by job."),
	}
}

// Describe implements prometheus.Collector.
func (c *activityCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.running, c.progress, c.steps, c.seconds} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *activityCollector) Collect(ch chan<- prometheus.Metric) {
	for _, a := range c.jobs.Activities() {
		running := 0.0
		if a.Running {
			running = 1
		}
		ch <- prometheus.MustNewConstMetric(c.running, prometheus.GaugeValue, running, a.Job)
		ch <- prometheus.MustNewConstMetric(c.progress, prometheus.GaugeValue, a.Work.Share(), a.Job)
		ch <- prometheus.MustNewConstMetric(c.steps, prometheus.CounterValue, float64(a.Steps), a.Job)
		ch <- prometheus.MustNewConstMetric(c.seconds, prometheus.CounterValue, a.Seconds, a.Job)
	}
}
