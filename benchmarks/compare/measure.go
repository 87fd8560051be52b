package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"tsdb/benchmarks/fleet"
	"tsdb/benchmarks/server"
)

// result holds the figures of one run of one server; those not measured are zero.
type result struct {
	samplesPerCPUSecond float64
	samplesPerSecond    float64 // wall
	p50, p99            time.Duration
	peakRSS             int64 // bytes
	bytesPerSample      float64
	ready               time.Duration // after kill -9
	retries             int
}

func (r result) String() string {
	return fmt.Sprintf("%.0f samples a CPU second, %.0f samples a second, p50 %v, p99 %v, RSS %.0f MB, %.3f B/sample, ready %v",
		r.samplesPerCPUSecond, r.samplesPerSecond, r.p50, r.p99, float64(r.peakRSS)/1e6, r.bytesPerSample, r.ready)
}

// measure runs a server over one load, from an empty directory to the end of
// flush and compaction. With restart it runs the load once more, kills the server
// with SIGKILL at the last acknowledgement and measures the time to be ready again.
func measure(ctx context.Context, s server.Server, o fleet.Options, scratch string, restart bool) (result, error) {
	r, err := measureIngest(ctx, s, o, scratch)
	if err != nil {
		return r, fmt.Errorf("%s: %w", s.Name, err)
	}
	if !restart {
		return r, nil
	}
	if r.ready, err = measureRestart(ctx, s, o, scratch); err != nil {
		return r, fmt.Errorf("%s: restart: %w", s.Name, err)
	}
	return r, nil
}

func measureIngest(ctx context.Context, s server.Server, o fleet.Options, scratch string) (r result, err error) {
	err = server.InEmptyDir(scratch, func(dir string) error {
		p, _, err := server.Start(ctx, s, dir)
		if err != nil {
			return err
		}
		defer p.Kill()
		report, err := fleet.New(o).Send(ctx, p.URL+server.WritePath)
		if err != nil {
			return p.Fail(fmt.Errorf("after %s: %w", report, err))
		}
		size, err := s.Settle(ctx, p, dir)
		if err != nil {
			return p.Fail(err)
		}
		cpu, err := p.CPU()
		if err != nil {
			return err
		}
		if r.peakRSS, err = p.PeakRSS(); err != nil {
			return err
		}
		r.samplesPerCPUSecond = float64(report.Samples) / cpu.Seconds()
		r.samplesPerSecond = report.SamplesPerSecond()
		r.p50, r.p99 = report.Latency(0.5), report.Latency(0.99)
		r.bytesPerSample = float64(size) / float64(report.Samples)
		r.retries = report.Retries
		return nil
	})
	return r, err
}

func measureRestart(ctx context.Context, s server.Server, o fleet.Options, scratch string) (ready time.Duration, err error) {
	err = server.InEmptyDir(scratch, func(dir string) error {
		p, _, err := server.Start(ctx, s, dir)
		if err != nil {
			return err
		}
		_, err = fleet.New(o).Send(ctx, p.URL+server.WritePath)
		p.Kill()
		if err != nil {
			return err
		}
		p, ready, err = server.Start(ctx, s, dir)
		if err != nil {
			return err
		}
		p.Kill()
		return nil
	})
	return ready, err
}

// median returns, field by field, the median of the results; the restart
// was not measured in all of them.
func median(rs []result) result {
	restarted := slices.DeleteFunc(slices.Clone(rs), func(r result) bool { return r.ready == 0 })
	return result{
		samplesPerCPUSecond: middle(rs, func(r result) float64 { return r.samplesPerCPUSecond }),
		samplesPerSecond:    middle(rs, func(r result) float64 { return r.samplesPerSecond }),
		p50:                 middle(rs, func(r result) time.Duration { return r.p50 }),
		p99:                 middle(rs, func(r result) time.Duration { return r.p99 }),
		peakRSS:             middle(rs, func(r result) int64 { return r.peakRSS }),
		bytesPerSample:      middle(rs, func(r result) float64 { return r.bytesPerSample }),
		ready:               middle(restarted, func(r result) time.Duration { return r.ready }),
		retries:             middle(rs, func(r result) int { return r.retries }),
	}
}

func middle[R any, T cmp.Ordered](rs []R, field func(R) T) (m T) {
	if len(rs) == 0 {
		return m
	}
	vs := make([]T, len(rs))
	for i, r := range rs {
		vs[i] = field(r)
	}
	slices.Sort(vs)
	return vs[len(vs)/2]
}
