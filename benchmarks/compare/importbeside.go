package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"tsdb/benchmarks/fleet"
	"tsdb/benchmarks/server"
)

// wantedBeside is the share of their speed that live writes keep beside an import.
const wantedBeside = 0.8

// besideResult holds the figures of one load.
type besideResult struct {
	samples        int
	took           time.Duration
	p50, p99       time.Duration
	server, sender time.Duration // CPU
	client         time.Duration // CPU of the import
}

func (r besideResult) persecond() float64 { return float64(r.samples) / r.took.Seconds() }

// share is the samples written in a second of the CPU of all processes: what a machine that has
// nothing else to do would write, and less disturbed by others than the time is.
func (r besideResult) share() float64 {
	return float64(r.samples) / (r.server + r.sender + r.client).Seconds()
}

// importing is an import into a running server, as a process that can be paused.
type importing struct {
	cmd    *exec.Cmd
	out    bytes.Buffer
	exited chan struct{}
}

func startImport(program string, args ...string) (*importing, error) {
	im := &importing{cmd: exec.Command(program, args...), exited: make(chan struct{})}
	im.cmd.Stdout, im.cmd.Stderr = &im.out, &im.out
	im.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := im.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = im.cmd.Wait() // its output tells
		close(im.exited)
	}()
	return im, nil
}

func (im *importing) signal(s syscall.Signal) error { return im.cmd.Process.Signal(s) }

func (im *importing) running() bool {
	select {
	case <-im.exited:
		return false
	default:
		return true
	}
}

// end kills the import and waits for it.
func (im *importing) end() {
	_ = im.cmd.Process.Kill() // it may have ended
	<-im.exited
}

// measureBeside writes the same load again and again, by turns alone and beside an import of old
// days, which is stopped meanwhile. All share this machine.
func (o *importOptions) measureBeside(ctx context.Context) error {
	load, err := parseLoad(o.load)
	if err != nil {
		return err
	}
	source, err := o.prometheus(ctx)
	if err != nil {
		return err
	}
	samples, err := countSamples(o.set())
	if err != nil {
		return err
	}
	return o.scratch("live", func(dir string) error {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		p, _, err := server.Start(ctx, server.TSDB(o.tsdb), dir)
		if err != nil {
			return err
		}
		defer p.Kill()
		loads := 2*o.rounds + 1
		load.Start = time.Now().Add(-time.Duration(loads)*load.Span - time.Minute)
		write := func(im *importing) (r besideResult, err error) {
			f := fleet.New(load)
			load.Start = load.Start.Add(load.Span)
			return measureLoad(ctx, p, f, im)
		}
		if _, err := write(nil); err != nil { // the series are new
			return p.Fail(err)
		}
		state := filepath.Join(o.data, "live.state")
		if err := os.RemoveAll(state); err != nil {
			return err
		}
		defer os.Remove(state)
		begin, paused := time.Now(), time.Duration(0)
		im, err := startImport(o.tsdb, "import", "prometheus", source, "--to", p.URL, "--state", state)
		if err != nil {
			return err
		}
		defer im.end()
		var alone, beside []besideResult
		for n := range o.rounds {
			if err := im.signal(syscall.SIGSTOP); err != nil {
				return err
			}
			stopped := time.Now()
			if err := p.Idle(ctx, 500*time.Millisecond); err != nil {
				return p.Fail(err)
			}
			r, err := write(nil)
			if err != nil {
				return p.Fail(err)
			}
			alone = append(alone, r)
			if err := im.signal(syscall.SIGCONT); err != nil {
				return err
			}
			paused += time.Since(stopped)
			if r, err = write(im); err != nil {
				return p.Fail(err)
			}
			beside = append(beside, r)
			fmt.Fprintf(os.Stderr, "round %d: alone %v, beside %v\n", n+1, alone[n], r)
		}
		during := time.Since(begin) - paused
		written := time.Now()
		select {
		case <-im.exited:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if im.cmd.ProcessState.ExitCode() != 0 {
			return errors.New("the import failed:\n" + im.out.String())
		}
		printBeside(alone, beside)
		fmt.Printf("\nThe import of %.1f M samples ran %.1f s beside the writes and needed %.1f s after them.\n",
			float64(samples)/1e6, during.Seconds(), time.Since(written).Seconds())
		return nil
	})
}

// measureLoad writes a fleet.
func measureLoad(ctx context.Context, p *server.Process, f *fleet.Fleet, im *importing) (r besideResult, err error) {
	cpu := func() (all [3]time.Duration, err error) {
		var errs [3]error
		all[0], errs[0] = p.CPU()
		all[1], errs[1] = ownCPU()
		if im != nil {
			all[2], errs[2] = server.CPUTime(im.cmd.Process.Pid)
		}
		return all, errors.Join(errs[:]...)
	}
	before, err := cpu()
	if err != nil {
		return r, err
	}
	report, err := f.Send(ctx, p.URL+server.WritePath)
	if err != nil {
		return r, fmt.Errorf("after %s: %w", report, err)
	}
	if im != nil && !im.running() {
		return r, errors.New("the import ended before the writes: give more -targets or -days, or a smaller -load\n" + im.out.String())
	}
	after, err := cpu()
	if err != nil {
		return r, err
	}
	return besideResult{
		samples: report.Samples, took: report.Elapsed, p50: report.Latency(0.5), p99: report.Latency(0.99),
		server: after[0] - before[0], sender: after[1] - before[1], client: after[2] - before[2],
	}, nil
}

func (r besideResult) String() string {
	return fmt.Sprintf("%.2f M/s, p99 %v, CPU: server %.2f s, sender %.2f s, import %.2f s", r.persecond()/1e6, r.p99.Round(time.Millisecond),
		r.server.Seconds(), r.sender.Seconds(), r.client.Seconds())
}

func printBeside(alone, beside []besideResult) {
	fmt.Printf("\n| live writes | alone | beside an import | ratio | wanted |\n|---|---:|---:|---:|---:|\n")
	row := func(name, wanted string, f func(besideResult) float64) {
		a, b := middle(alone, f), middle(beside, f)
		fmt.Printf("| %s | %.2f | %.2f | %.2f | %s |\n", name, a, b, b/a, wanted)
	}
	wanted := fmt.Sprintf("≥ %g", wantedBeside)
	row("M samples a second", wanted, func(r besideResult) float64 { return r.persecond() / 1e6 })
	row("M samples a CPU second of server, sender and import", wanted, func(r besideResult) float64 { return r.share() / 1e6 })
	row("M samples a CPU second of the server", "", func(r besideResult) float64 { return float64(r.samples) / r.server.Seconds() / 1e6 })
	row("latency p50, ms", "", func(r besideResult) float64 { return r.p50.Seconds() * 1e3 })
	row("latency p99, ms", "", func(r besideResult) float64 { return r.p99.Seconds() * 1e3 })
}
