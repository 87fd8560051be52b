package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Limits of the waits for a server to be ready and to be idle.
const (
	readyLimit = 3 * time.Minute
	idleLimit  = 10 * time.Minute
)

// Process is a running server. Its methods may be called by several
// goroutines; those after Kill return errors.
type Process struct {
	URL string // without a slash at the end

	cmd    *exec.Cmd
	output bytes.Buffer
	exited chan struct{}
}

// Start runs a server on a free port of the loopback interface and returns
// once it answers that it is ready, with the time that took. The caller ends
// it with Kill.
func Start(ctx context.Context, s Server, dir string) (*Process, time.Duration, error) {
	port, err := freePort()
	if err != nil {
		return nil, 0, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	args, err := s.Args(dir, addr)
	if err != nil {
		return nil, 0, err
	}
	p := &Process{cmd: exec.Command(s.Program, args...), URL: "http://" + addr, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	// The server ends with this process, even if that is killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, 0, fmt.Errorf("start %s: %w", s.Name, err)
	}
	go func() {
		_ = p.cmd.Wait() // requests to it report how it ended
		close(p.exited)
	}()
	for {
		if resp, err := http.Get(p.URL + s.Ready); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p, time.Since(begin), nil
			}
		}
		select {
		case <-p.exited:
			return nil, 0, fmt.Errorf("%s ended before it was ready:\n%s", s.Name, p.output.String())
		case <-ctx.Done():
			p.Kill()
			return nil, 0, context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
			if time.Since(begin) > readyLimit {
				p.Kill()
				return nil, 0, fmt.Errorf("%s is not ready after %s:\n%s", s.Name, readyLimit, p.output.String())
			}
		}
	}
}

// Kill ends the server with SIGKILL and waits for it. A second Kill is
// harmless.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.exited
}

// Fail ends the server and returns err with what the server has written to its
// standard streams.
func (p *Process) Fail(err error) error {
	p.Kill() // so that nothing writes to output any more
	return fmt.Errorf("%w\n%s", err, p.output.String())
}

// Post sends an empty POST and returns the body of a 2xx answer.
func (p *Process) Post(ctx context.Context, path string) ([]byte, error) {
	return p.do(ctx, http.MethodPost, path)
}

// Get returns the body of a 2xx answer.
func (p *Process) Get(ctx context.Context, path string) ([]byte, error) {
	return p.do(ctx, http.MethodGet, path)
}

func (p *Process) do(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.URL+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: status %d: %s", method, path, resp.StatusCode, body)
	}
	return body, err
}

// CPU returns the time that the process has been on a CPU so far, all threads
// that ever were included, to the nanosecond.
func (p *Process) CPU() (time.Duration, error) {
	return CPUTime(p.cmd.Process.Pid)
}

// CPUTime reads the CPU clock of a process: the hundredths of seconds in
// /proc/PID/stat are longer than most queries.
func CPUTime(pid int) (time.Duration, error) {
	const scheduled = 2 // the clock of time on a CPU, of the kernel's three a process
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|scheduled, &t); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// Idle waits until the process has used less than a fiftieth of a CPU for as
// long as span.
func (p *Process) Idle(ctx context.Context, span time.Duration) error {
	const least = 100 * time.Millisecond // between two looks
	for begin := time.Now(); time.Since(begin) < idleLimit; {
		before, err := p.CPU()
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.exited:
			return errors.New("the server ended")
		case <-time.After(max(span, least)):
		}
		after, err := p.CPU()
		if err != nil {
			return err
		}
		if after-before < max(span, least)/50 {
			return nil
		}
	}
	return fmt.Errorf("not idle after %s", idleLimit)
}

// RSS returns the memory that the process holds, in bytes.
func (p *Process) RSS() (int64, error) { return p.memory("VmRSS:") }

// PeakRSS returns the most memory the process has held, in bytes, since it
// started or since ResetPeakRSS.
func (p *Process) PeakRSS() (int64, error) { return p.memory("VmHWM:") }

// ResetPeakRSS sets the peak to the memory that the process holds now.
func (p *Process) ResetPeakRSS() error {
	const peak = "5" // what of a process' accounts is cleared
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte(peak), 0)
}

func (p *Process) memory(field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("/proc/PID/status has no %s", field)
}

// InEmptyDir calls f with a new directory below scratch (the system's temporary
// directory if that is "") and removes the directory afterwards.
func InEmptyDir(scratch string, f func(dir string) error) error {
	dir, err := os.MkdirTemp(scratch, "tsdb-benchmark-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	return f(dir)
}

// FreeAddress returns an address of the loopback interface whose port is free.
func FreeAddress() (string, error) {
	port, err := freePort()
	return fmt.Sprintf("127.0.0.1:%d", port), err
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Size returns the bytes of all files below dir, 0 if there is none. Files may
// come and go meanwhile.
func Size(dir string) (int64, error) {
	var n int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				n += info.Size()
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return n, err
}
