package remote

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/klauspost/compress/s2"
)

// maxRetries bounds how often a request is sent again after a 5xx or 429.
const maxRetries = 1000

// Source produces the requests of one sender. It is used by one goroutine.
type Source interface {
	// AppendRequest appends the next request's message, not compressed, to
	// dst and returns it with the number of samples in it; 0 at the end.
	AppendRequest(dst []byte) (request []byte, samples int, err error)
}

// Form says how messages are sent.
type Form struct {
	Header   http.Header
	Compress func(dst, src []byte) []byte // uses the memory of dst; nil = messages are sent as they are
	// Every is the time from one request of a sender to its next; 0 = as fast as they are
	// acknowledged. Latencies then count from when a request was due, so that one that
	// waited for a slow one before it counts as slow too.
	Every time.Duration
	// Warmup is the number of requests of a sender before that, which have no latency.
	Warmup int
}

// write1 is remote write 1.
var write1 = Form{
	Header: http.Header{
		"Content-Type":                      {"application/x-protobuf"},
		"Content-Encoding":                  {"snappy"},
		"X-Prometheus-Remote-Write-Version": {"0.1.0"},
	},
	Compress: Snappy,
}

// Snappy returns the snappy block of src, in the memory of dst if it has enough.
func Snappy(dst, src []byte) []byte {
	if need := s2.MaxEncodedLen(len(src)); cap(dst) < need {
		dst = make([]byte, need)
	}
	return s2.EncodeSnappy(dst[:cap(dst)], src)
}

// Report holds the figures of a run.
type Report struct {
	Samples   int   // acknowledged
	Requests  int   // acknowledged
	Retries   int   // answers 5xx and 429
	Messages  int64 // bytes of the acknowledged messages before compression
	Bytes     int64 // of their bodies
	Elapsed   time.Duration
	latencies []time.Duration // of acknowledged requests, sorted
}

// Latency returns the quantile q of the time from sending a request to its
// acknowledgement, 0 ≤ q ≤ 1.
func (r *Report) Latency(q float64) time.Duration {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[min(len(r.latencies)-1, int(q*float64(len(r.latencies))))]
}

// SamplesPerSecond returns acknowledged samples by wall time.
func (r *Report) SamplesPerSecond() float64 { return float64(r.Samples) / r.Elapsed.Seconds() }

func (r *Report) String() string {
	return fmt.Sprintf("%d samples in %d requests, %.1f s: %.0f samples/s, %.1f B/sample on the wire, latency p50 %s, p99 %s, max %s, %d retries",
		r.Samples, r.Requests, r.Elapsed.Seconds(), r.SamplesPerSecond(), float64(r.Bytes)/float64(max(1, r.Samples)),
		r.Latency(0.5).Round(10*time.Microsecond), r.Latency(0.99).Round(10*time.Microsecond), r.Latency(1).Round(10*time.Microsecond), r.Retries)
}

// Send is SendAs with messages of remote write 1.
func Send(ctx context.Context, url string, sources []Source) (*Report, error) {
	return SendAs(ctx, write1, url, sources)
}

// SendAs writes all sources to an address, one sender each, which waits for an
// acknowledgement before it sends its next request. It returns the figures of
// acknowledged requests up to the end or the first error: that of a source, or a
// response that is neither 2xx nor one that allows a retry.
func SendAs(ctx context.Context, f Form, url string, sources []Source) (*Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	transport := &http.Transport{MaxIdleConnsPerHost: len(sources), DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 5 * time.Minute}

	reports := make([]Report, len(sources))
	start := time.Now()
	var wg sync.WaitGroup
	for k, s := range sources {
		wg.Go(func() {
			if err := f.send(ctx, client, url, s, &reports[k]); err != nil {
				cancel(fmt.Errorf("sender %d: %w", k, err))
			}
		})
	}
	wg.Wait()
	return totalOf(reports, time.Since(start)), context.Cause(ctx)
}

// totalOf returns the sum of the reports of senders that worked at the same time.
func totalOf(reports []Report, elapsed time.Duration) *Report {
	total := &Report{Elapsed: elapsed}
	for _, r := range reports {
		total.Samples += r.Samples
		total.Requests += r.Requests
		total.Retries += r.Retries
		total.Messages += r.Messages
		total.Bytes += r.Bytes
		total.latencies = append(total.latencies, r.latencies...)
	}
	slices.Sort(total.latencies)
	return total
}

func (f Form) send(ctx context.Context, client *http.Client, url string, s Source, r *Report) error {
	var raw, body []byte
	due := time.Now()
	for k := 0; ctx.Err() == nil; k++ {
		var n int
		var err error
		if raw, n, err = s.AppendRequest(raw[:0]); err != nil || n == 0 {
			return err
		}
		message := raw
		if f.Compress != nil {
			body = f.Compress(body, raw)
			message = body
		}
		if k == f.Warmup {
			due = time.Now()
		}
		paced := f.Every > 0 && k >= f.Warmup
		if paced {
			due = due.Add(f.Every)
			select {
			case <-time.After(time.Until(due)):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		took, retries, err := f.post(ctx, client, url, message)
		r.Retries += retries
		if err != nil {
			return err
		}
		if paced {
			took = time.Since(due)
		}
		r.Samples += n
		r.Requests++
		r.Messages += int64(len(raw))
		r.Bytes += int64(len(message))
		if k >= f.Warmup {
			r.latencies = append(r.latencies, took)
		}
	}
	return nil
}

// post sends one body until it is acknowledged and returns how long the last
// attempt took.
func (f Form) post(ctx context.Context, client *http.Client, url string, body []byte) (took time.Duration, retries int, err error) {
	for ; ; retries++ {
		start := time.Now()
		code, text, wait, err := f.postOnce(ctx, client, url, body)
		switch {
		case err != nil:
			return 0, retries, err
		case code/100 == 2:
			return time.Since(start), retries, nil
		case code/100 != 5 && code != http.StatusTooManyRequests || retries == maxRetries:
			return 0, retries, fmt.Errorf("status %d: %s", code, text)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, retries, ctx.Err()
		}
	}
}

func (f Form) postOnce(ctx context.Context, client *http.Client, url string, body []byte) (code int, text string, wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", 0, err
	}
	if f.Header != nil {
		req.Header = f.Header.Clone()
	}
	req.Header.Set("User-Agent", "tsdb-load/1")
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", 0, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return 0, "", 0, err
	}
	wait = 100 * time.Millisecond
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s >= 0 {
		wait = min(time.Duration(s)*time.Second, 5*time.Second)
	}
	return resp.StatusCode, string(b), wait, nil
}
