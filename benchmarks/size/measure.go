package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"tsdb/benchmarks/remote"
	"tsdb/benchmarks/server"
	"tsdb/benchmarks/sets"
)

// row holds the figures of one set.
type row struct {
	choice
	series, samples int
	xor             float64          // bytes a sample of Prometheus' XOR chunks
	settled         []server.Account // of each server
}

// perSample returns bytes a sample.
func (r row) perSample(bytes int64) float64 { return float64(bytes) / float64(r.samples) }

// measure writes a set to each server, from an empty directory, and accounts for
// its files once it is settled.
func measure(ctx context.Context, c choice, servers []server.Server, scratch string) (row, error) {
	r := row{choice: c}
	xorBytes := 0
	for i := range c.set.Groups {
		all, err := c.set.Group(i)
		if err != nil {
			return r, err
		}
		for _, s := range all {
			n, err := sets.XORBytes(s)
			if err != nil {
				return r, err
			}
			xorBytes += n
			r.samples += len(s.Times)
		}
		r.series += len(all)
	}
	r.xor = r.perSample(int64(xorBytes))
	for _, s := range servers {
		begin := time.Now()
		account, text, err := load(ctx, c.set, s, r.samples, scratch)
		if err != nil {
			return r, fmt.Errorf("%s: %w", s.Name, err)
		}
		r.settled = append(r.settled, account)
		fmt.Fprintf(os.Stderr, "%s, %s: %.4f B/sample of data, %.4f in all, %.0f s\n%s", c.set.Name, s.Name,
			r.perSample(account.Data), r.perSample(account.Total()), time.Since(begin).Seconds(), text)
	}
	return r, nil
}

// senders is the number of concurrent senders.
const senders = 2

func load(ctx context.Context, set sets.Set, s server.Server, samples int, scratch string) (account server.Account, text string, err error) {
	err = server.InEmptyDir(scratch, func(dir string) error {
		p, _, err := server.Start(ctx, s, dir)
		if err != nil {
			return err
		}
		defer p.Kill()
		report, err := remote.Send(ctx, p.URL+server.WritePath, set.Sources(senders))
		if err != nil {
			return p.Fail(fmt.Errorf("after %s: %w", report, err))
		}
		if report.Samples != samples {
			return fmt.Errorf("%d samples were sent, the set has %d", report.Samples, samples)
		}
		total, err := s.Settle(ctx, p, dir)
		if err != nil {
			return p.Fail(err)
		}
		p.Kill() // the files are settled, and the server's tools may need exclusive access
		account, text, err = s.Account(ctx, dir)
		if err == nil && account.Total() != total {
			err = fmt.Errorf("settled at %d bytes, but %d are accounted for\n%s", total, account.Total(), text)
		}
		return err
	})
	return account, text, err
}
