package main

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
)

// readyLimit bounds the wait for a server to be ready.
const readyLimit = 3 * time.Minute

// process is a running server.
type process struct {
	cmd    *exec.Cmd
	url    string
	output bytes.Buffer
	exited chan struct{}
}

// start runs a server and returns once its ready address answers 200, with
// the time that took.
func start(ctx context.Context, s server, dir string) (*process, time.Duration, error) {
	port, err := freePort()
	if err != nil {
		return nil, 0, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	args, err := s.args(dir, addr)
	if err != nil {
		return nil, 0, err
	}
	p := &process{cmd: exec.Command(s.program, args...), url: "http://" + addr, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	// A server goes when its starter goes, however that happens.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begin := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, 0, fmt.Errorf("start %s: %w", s.name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is seen by who asks it something
		close(p.exited)
	}()
	for {
		if resp, err := http.Get(p.url + "/-/ready"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p, time.Since(begin), nil
			}
		}
		select {
		case <-p.exited:
			return nil, 0, fmt.Errorf("%s ended before it was ready:\n%s", s.name, p.output.String())
		case <-ctx.Done():
			p.kill()
			return nil, 0, context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
			if time.Since(begin) > readyLimit {
				p.kill()
				return nil, 0, fmt.Errorf("%s is not ready after %s:\n%s", s.name, readyLimit, p.output.String())
			}
		}
	}
}

// kill ends the server with SIGKILL and waits for it.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.exited
}

// post sends an empty POST and returns the body of a 2xx answer.
func (p *process) post(ctx context.Context, path string) ([]byte, error) {
	return p.do(ctx, http.MethodPost, path)
}

func (p *process) get(ctx context.Context, path string) ([]byte, error) {
	return p.do(ctx, http.MethodGet, path)
}

func (p *process) do(ctx context.Context, method, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, nil)
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
		err = fmt.Errorf("%s %s: answer %d: %s", method, path, resp.StatusCode, body)
	}
	return body, err
}

// cpu returns user and system time of the process so far.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is the name in parentheses, which may hold spaces.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, errors.New("/proc/PID/stat has too few fields")
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	const ticksPerSecond = 100 // fixed by the kernel's interface
	return time.Duration(user+system) * time.Second / ticksPerSecond, errors.Join(err1, err2)
}

// peakRSS returns the most memory the process has held, in bytes.
func (p *process) peakRSS() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/PID/status has no VmHWM")
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// size returns the bytes of all files below dir.
func size(dir string) (int64, error) {
	var n int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}
