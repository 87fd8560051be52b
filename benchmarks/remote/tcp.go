package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// dialLimit bounds the wait for a port to be open.
const dialLimit = 10 * time.Second

// SendTCP writes all sources to an address, a connection each, and returns once the server
// has ended them, which it does when it has read everything. The report has no latencies,
// and counts as acknowledged what was written.
func SendTCP(ctx context.Context, address string, sources []Source) (*Report, error) {
	reports := make([]Report, len(sources))
	errs := make([]error, len(sources))
	start := time.Now()
	var wg sync.WaitGroup
	for k, s := range sources {
		wg.Go(func() {
			if err := sendTCP(ctx, address, s, &reports[k]); err != nil {
				errs[k] = fmt.Errorf("sender %d: %w", k, err)
			}
		})
	}
	wg.Wait()
	return totalOf(reports, time.Since(start)), errors.Join(errs...)
}

func sendTCP(ctx context.Context, address string, s Source, r *Report) error {
	c, err := dial(ctx, address)
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	var message []byte
	for {
		var n int
		if message, n, err = s.AppendRequest(message[:0]); err != nil {
			return err
		}
		if n == 0 {
			break
		}
		if _, err := c.Write(message); err != nil {
			return err
		}
		r.Samples += n
		r.Requests++
		r.Messages += int64(len(message))
	}
	r.Bytes = r.Messages
	if err := c.CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c)
	return err
}

// dial connects to a port that may not be open yet.
func dial(ctx context.Context, address string) (*net.TCPConn, error) {
	for begin := time.Now(); ; {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return c.(*net.TCPConn), nil
		}
		if ctx.Err() != nil || time.Since(begin) > dialLimit {
			return nil, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}
