package background

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tsdb/internal/vfs"
)

// logEvery bounds how often a job that keeps failing is logged.
const logEvery = time.Minute

// Jobs are the jobs of one server. It is safe for concurrent use.
type Jobs struct {
	clock vfs.Clock
	log   *slog.Logger
	guard func(job string, step func() error) error

	failures *prometheus.CounterVec
	failing  *prometheus.GaugeVec
	activity *activityCollector

	mu   sync.Mutex
	list []*Job
}

// New returns an empty set of jobs. guard runs each step: it turns a panic into
// an error.
func New(clock vfs.Clock, log *slog.Logger, guard func(job string, step func() error) error) *Jobs {
	js := &Jobs{
		clock: clock, log: log, guard: guard,
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tsdb_background_failures_total", Help: "Attempts of background jobs that failed and are repeated, by job."}, []string{"job"}),
		failing: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tsdb_background_failing", Help: "1 while the last attempt of a background job has failed, by job."}, []string{"job"}),
	}
	js.activity = newActivityCollector(js)
	return js
}

// Collectors returns the metrics of all jobs.
func (js *Jobs) Collectors() []prometheus.Collector {
	return []prometheus.Collector{js.failures, js.failing, js.activity}
}

// Job returns the job with the given name, creating it if needed.
func (js *Jobs) Job(name string, pace Pace) *Job {
	js.mu.Lock()
	defer js.mu.Unlock()
	for _, j := range js.list {
		if j.name == name {
			return j
		}
	}
	j := &Job{name: name, pace: pace, jobs: js,
		failures: js.failures.WithLabelValues(name), failing: js.failing.WithLabelValues(name)}
	js.list = append(js.list, j)
	return j
}

// Status describes a failing job.
type Status struct {
	Job string
	Outcome
}

// Failing returns the jobs whose last attempt failed, in the order of their
// creation.
func (js *Jobs) Failing() []Status {
	js.mu.Lock()
	defer js.mu.Unlock()
	var failing []Status
	for _, j := range js.list {
		if o := j.Outcome(); o.Failures > 0 {
			failing = append(failing, Status{Job: j.name, Outcome: o})
		}
	}
	return failing
}

// A Job is one kind of background work. It is safe for concurrent use; if its
// steps must not run concurrently, its owner ensures that.
type Job struct {
	name     string
	pace     Pace
	jobs     *Jobs
	failures prometheus.Counter
	failing  prometheus.Gauge

	mu      sync.Mutex
	outcome Outcome
	logged  time.Time // time of the last failure that was logged
	running int       // steps under way
	began   time.Time // of the last step
	ended   time.Time // of the last step that ended; zero = none
	work    Work      // of the step under way
	last    LastWork
	shown   time.Time // when the progress of the step was logged last, or its beginning

	steps   uint64        // ended
	seconds time.Duration // of steps that ended
}

// Run runs one step of the job, records its outcome and returns its error. A step
// that fails after ctx has ended leaves the outcome unchanged.
func (j *Job) Run(ctx context.Context, step func(context.Context) error) error {
	defer j.begin()()
	err := j.jobs.guard(j.name, func() error { return step(ctx) })
	switch {
	case err == nil:
		j.succeeded()
	case ctx.Err() == nil:
		j.failed(err)
	}
	return err
}

// Due reports whether the job may run now: its last attempt succeeded, or the
// pause after the failure is over.
func (j *Job) Due() bool { return j.Outcome().Due(j.jobs.clock.Now()) }

// Outcome returns the outcome of the latest attempts.
func (j *Job) Outcome() Outcome {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.outcome
}

func (j *Job) failed(err error) {
	now := j.jobs.clock.Now()
	j.mu.Lock()
	j.outcome = j.outcome.Failed(err, now, j.pace)
	o := j.outcome
	log := o.Failures == 1 || now.Sub(j.logged) >= logEvery
	if log {
		j.logged = now
	}
	j.mu.Unlock()
	j.failures.Inc()
	j.failing.Set(1)
	if log {
		j.jobs.log.Error("background job fails, will be tried again", "job", j.name, "err", err, "after", o.Next.Sub(now), "failures", o.Failures)
	}
}

func (j *Job) succeeded() {
	j.mu.Lock()
	was := j.outcome
	j.outcome = Outcome{}
	j.mu.Unlock()
	if was.Failures == 0 {
		return
	}
	j.failing.Set(0)
	j.jobs.log.Info("background job works again", "job", j.name, "failures", was.Failures, "failed_for", j.jobs.clock.Now().Sub(was.Since))
}
