package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Server is a program that can be started.
type Server struct {
	Name    string
	Program string // path or name of the binary
	Ready   string // path that answers 200 once it can be used

	// Args returns the command line for an empty or used data directory; it
	// may put a configuration beside it.
	Args func(dir, addr string) ([]string, error)

	// Settle makes everything written so far durable in its final form and
	// returns the bytes of files that it takes then. Nil for a server that
	// takes no writes; the others take remote write 1 at WritePath.
	Settle func(ctx context.Context, p *Process, dir string) (int64, error)

	// Tidy prepares the files of a settled server that has ended for its next
	// start. Nil if nothing needs to be done.
	Tidy func(dir string) error

	// DropCaches makes a running server forget what it has cached. Nil if it
	// has to be started again for that.
	DropCaches func(ctx context.Context, p *Process) error

	// Account returns the bytes of data and index of a settled server that has
	// ended, and the report of the server's own tools. Nil if it has none.
	Account func(ctx context.Context, dir string) (Account, string, error)
}

// WritePath is the path at which all servers accept remote write 1.
const WritePath = "/api/v1/write"

// With returns the server with additional flags.
func (s Server) With(flags ...string) Server {
	args := s.Args
	s.Args = func(dir, addr string) ([]string, error) {
		all, err := args(dir, addr)
		return append(all, flags...), err
	}
	return s
}

// Account divides the bytes of a server's files into data and index.
type Account struct {
	Data  int64 // times and values, with what finds them in their files
	Index int64 // the rest: series, labels, postings
}

// Total returns the bytes of data and index.
func (a Account) Total() int64 { return a.Data + a.Index }

// TSDB is this project's server.
func TSDB(program string) Server {
	return Server{
		Name:    "tsdb",
		Program: program,
		Ready:   "/-/ready",
		Args: func(dir, addr string) ([]string, error) {
			return []string{"serve", "--data", dir, "--http", addr, "--grpc", "127.0.0.1:0", "--self-scrape.interval", "0"}, nil
		},
		Settle: func(ctx context.Context, p *Process, _ string) (int64, error) {
			if _, err := p.Post(ctx, "/api/v1/admin/flush"); err != nil {
				return 0, err
			}
			if _, err := p.Post(ctx, "/api/v1/admin/compact"); err != nil {
				return 0, err
			}
			body, err := p.Get(ctx, "/api/v1/status/storage")
			if err != nil {
				return 0, err
			}
			var answer struct {
				Data struct{ Bytes int64 }
			}
			if err := json.Unmarshal(body, &answer); err != nil {
				return 0, fmt.Errorf("status/storage: %w", err)
			}
			return answer.Data.Bytes, nil
		},
		DropCaches: func(ctx context.Context, p *Process) error {
			_, err := p.Post(ctx, "/api/v1/admin/drop_caches")
			return err
		},
		Account: func(ctx context.Context, dir string) (Account, string, error) { return accountTSDB(ctx, program, dir) },
	}
}

// Prometheus is Prometheus as a receiver. It has no request that cuts its head; a
// snapshot writes the same block, and its cost is counted instead.
func Prometheus(program string) Server {
	return Server{
		Name:    "prometheus",
		Program: program,
		Ready:   "/-/ready",
		Args: func(dir, addr string) ([]string, error) {
			config := filepath.Join(dir, "prometheus.yml")
			content := "global: {scrape_interval: 1h}\nstorage: {tsdb: {out_of_order_time_window: 6h}}\n"
			if err := os.WriteFile(config, []byte(content), 0o644); err != nil {
				return nil, err
			}
			return []string{
				"--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", addr,
				"--web.enable-remote-write-receiver", "--web.enable-admin-api", "--log.level", "warn",
			}, nil
		},
		Settle: func(ctx context.Context, p *Process, dir string) (int64, error) {
			if _, err := p.Post(ctx, "/api/v1/admin/tsdb/snapshot"); err != nil {
				return 0, err
			}
			return Size(filepath.Join(dir, "data", "snapshots"))
		},
		Tidy: func(dir string) error { return promoteSnapshot(filepath.Join(dir, "data")) },
	}
}

// promoteSnapshot replaces a Prometheus data directory by its only snapshot, in
// which the content of the head is a block.
func promoteSnapshot(data string) error {
	found, err := filepath.Glob(filepath.Join(data, "snapshots", "*"))
	if err != nil {
		return err
	}
	if len(found) != 1 {
		return fmt.Errorf("%s has %d snapshots, want 1", data, len(found))
	}
	kept := data + ".snapshot"
	if err := os.Rename(found[0], kept); err != nil {
		return err
	}
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	return os.Rename(kept, data)
}

// VictoriaMetrics is a single-node VictoriaMetrics. The caller names it, so that
// two versions can be compared.
func VictoriaMetrics(name, program string) Server {
	account := func(_ context.Context, dir string) (a Account, _ string, err error) {
		data, err1 := Size(filepath.Join(dir, "data"))
		within, err2 := Size(filepath.Join(dir, "data", "indexdb")) // newer versions
		beside, err3 := Size(filepath.Join(dir, "indexdb"))         // older ones
		return Account{Data: data - within, Index: within + beside}, "", errors.Join(err1, err2, err3)
	}
	return Server{
		Name:    name,
		Program: program,
		Ready:   "/health",
		Args: func(dir, addr string) ([]string, error) {
			return []string{"-storageDataPath", dir, "-httpListenAddr", addr, "-retentionPeriod", "1", "-loggerLevel", "WARN"}, nil
		},
		Settle: func(ctx context.Context, p *Process, dir string) (int64, error) {
			// Merges continue after the responses. The files are settled when
			// their size does not change for longer than the index stays in
			// memory, which is up to 10 s.
			const quiet, limit = 15, 600 // seconds
			var last int64
			for same, n := 0, 0; same < quiet; n++ {
				if n == limit {
					return 0, fmt.Errorf("still merging after %d s", limit)
				}
				for _, path := range []string{"/internal/force_flush", "/internal/force_merge"} {
					if _, err := p.Get(ctx, path); err != nil {
						return 0, err
					}
				}
				select {
				case <-ctx.Done():
					return 0, context.Cause(ctx)
				case <-time.After(time.Second):
				}
				a, _, err := account(ctx, dir)
				if err != nil {
					return 0, err
				}
				if same++; a.Total() != last {
					last, same = a.Total(), 0
				}
			}
			return last, nil
		},
		Account: account,
	}
}

// NodeExporter is Prometheus' exporter of a machine's metrics, with its
// default collectors. It takes no writes.
func NodeExporter(program string) Server {
	return Server{
		Name:    "node_exporter",
		Program: program,
		Ready:   "/",
		Args: func(_, addr string) ([]string, error) {
			return []string{"--web.listen-address", addr, "--log.level", "error"}, nil
		},
	}
}
