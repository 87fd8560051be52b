package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// server is a program that takes remote write.
type server struct {
	name    string
	program string
	// args returns the command line for an empty or used data directory; it
	// may put a configuration beside it.
	args func(dir, addr string) ([]string, error)
	// settle makes everything written so far durable in its final form and
	// returns the bytes that the samples take then.
	settle func(ctx context.Context, p *process, dir string) (int64, error)
}

func tsdbServer(program string) server {
	return server{
		name:    "tsdb",
		program: program,
		args: func(dir, addr string) ([]string, error) {
			return []string{"serve", "--data", dir, "--http", addr, "--grpc", "127.0.0.1:0", "--self-scrape.interval", "0"}, nil
		},
		settle: func(ctx context.Context, p *process, _ string) (int64, error) {
			if _, err := p.post(ctx, "/api/v1/admin/flush"); err != nil {
				return 0, err
			}
			if _, err := p.post(ctx, "/api/v1/admin/compact"); err != nil {
				return 0, err
			}
			body, err := p.get(ctx, "/api/v1/status/storage")
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
	}
}

// prometheusServer is Prometheus as a receiver. It cannot be told to cut its
// head; a snapshot writes the same block and is what it is charged for.
func prometheusServer(program string) server {
	return server{
		name:    "prometheus",
		program: program,
		args: func(dir, addr string) ([]string, error) {
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
		settle: func(ctx context.Context, p *process, dir string) (int64, error) {
			if _, err := p.post(ctx, "/api/v1/admin/tsdb/snapshot"); err != nil {
				return 0, err
			}
			return size(filepath.Join(dir, "data", "snapshots"))
		},
	}
}
