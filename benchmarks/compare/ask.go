package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"tsdb/benchmarks/server"
)

// cost is the time one query took.
type cost struct {
	wall time.Duration // until the whole answer was read
	cpu  time.Duration // of the server
}

// asked is the cost of one question on one server.
type asked struct {
	cold cost // nothing cached in the server; the files are in the page cache
	warm cost // after that, with the range moved by one step
}

// contender is a server under measurement on one set. It belongs to one
// goroutine.
type contender struct {
	server.Server
	dir     string
	process *server.Process // nil before the first start
}

// restart restarts the server and waits until it is idle.
func (c *contender) restart(ctx context.Context) error {
	c.end()
	p, _, err := server.Start(ctx, c.Server, c.dir)
	if err != nil {
		return err
	}
	c.process = p
	return c.settled(ctx)
}

func (c *contender) settled(ctx context.Context) error {
	if err := c.process.Idle(ctx, 100*time.Millisecond); err != nil {
		return c.process.Fail(fmt.Errorf("%s: %w", c.Name, err))
	}
	return nil
}

// end kills the server if it is running.
func (c *contender) end() {
	if c.process != nil {
		c.process.Kill()
		c.process = nil
	}
}

// forget drops the server's caches.
func (c *contender) forget(ctx context.Context) error {
	if c.DropCaches == nil {
		return c.restart(ctx)
	}
	if err := c.DropCaches(ctx, c.process); err != nil {
		return err
	}
	return c.settled(ctx)
}

// forgetAll drops the server's caches and the page cache of its files.
func (c *contender) forgetAll(ctx context.Context) error {
	if err := c.forget(ctx); err != nil {
		return err
	}
	return server.DropPages(c.dir)
}

// ask sends a question over the range that ends at end, appends the answer to
// dst and returns its cost.
func (c *contender) ask(ctx context.Context, q question, end time.Time, dst []byte) ([]byte, cost, error) {
	// The connection is made before the clock starts.
	if _, err := c.process.Get(ctx, c.Ready); err != nil {
		return dst, cost{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.process.URL+q.path(end), nil)
	if err != nil {
		return dst, cost{}, err
	}
	req.Header.Set("Accept-Encoding", "identity") // compression is not measured
	before, err := c.process.CPU()
	if err != nil {
		return dst, cost{}, err
	}
	begin := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return dst, cost{}, err
	}
	defer resp.Body.Close()
	body := bytes.NewBuffer(dst)
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return dst, cost{}, err
	}
	took := cost{wall: time.Since(begin)}
	after, err := c.process.CPU()
	if err != nil {
		return dst, cost{}, err
	}
	took.cpu = after - before
	if answer := body.Bytes()[len(dst):]; resp.StatusCode != http.StatusOK {
		return dst, took, fmt.Errorf("status %d: %.400s", resp.StatusCode, answer)
	}
	return body.Bytes(), took, nil
}

// path returns the path, with parameters, at which a server answers the question over
// the range that ends at end.
func (q question) path(end time.Time) string {
	values := url.Values{"query": {q.query}}
	if q.resolution != "" {
		values.Set("resolution", q.resolution)
	}
	if q.instant {
		values.Set("time", seconds(end))
		return "/api/v1/query?" + values.Encode()
	}
	values.Set("start", seconds(end.Add(-q.span)))
	values.Set("end", seconds(end))
	values.Set("step", seconds(time.Unix(0, 0).Add(q.step)))
	return "/api/v1/query_range?" + values.Encode()
}

// seconds writes a time as the servers read it.
func seconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1e3, 'f', -1, 64)
}

// examined is the answer of a freshly started server to a question.
type examined struct {
	answer answer
	peak   int64 // memory above that of the idle server, bytes
}

// examine asks once for the answer and the memory it takes.
func (c *contender) examine(ctx context.Context, q question, end time.Time) (x examined, err error) {
	if err := c.restart(ctx); err != nil {
		return x, err
	}
	if err := c.process.ResetPeakRSS(); err != nil {
		return x, err
	}
	idle, err := c.process.RSS()
	if err != nil {
		return x, err
	}
	body, _, err := c.ask(ctx, q, end, nil)
	if err != nil {
		return x, err
	}
	peak, err := c.process.PeakRSS()
	if err != nil {
		return x, err
	}
	x.peak = max(0, peak-idle)
	x.answer, err = parseAnswer(body)
	return x, err
}

// measure asks twice, cold and warm. The buffer is used for the answers.
func (c *contender) measure(ctx context.Context, q question, end time.Time, buffer []byte) ([]byte, asked, error) {
	var a asked
	if err := c.forget(ctx); err != nil {
		return buffer, a, err
	}
	buffer, cold, err := c.ask(ctx, q, end.Add(-q.step), buffer[:0])
	if err != nil {
		return buffer, a, err
	}
	if err := c.settled(ctx); err != nil {
		return buffer, a, err
	}
	buffer, warm, err := c.ask(ctx, q, end, buffer[:0])
	return buffer, asked{cold: cold, warm: warm}, err
}
