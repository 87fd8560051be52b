package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"tsdb/internal/vfs"
)

// remoteDir is the directory that a remoteSnapshot has.
const remoteDir = "snapshot"

// snapshotClient takes, reads and removes snapshots of a running server.
type snapshotClient struct {
	base  *url.URL
	token string
	http  *http.Client
}

// newSnapshotClient returns a client of the server at an address. ca and tokenFile are
// names of files, empty for none.
func newSnapshotClient(address, ca, tokenFile string) (*snapshotClient, error) {
	base, err := url.Parse(address)
	if err != nil || base.Host == "" {
		return nil, usageError{fmt.Errorf("--from %q is not the address of a server", address)}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if ca != "" {
		pool, err := readPool(ca)
		if err != nil {
			return nil, err
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	c := &snapshotClient{base: base, http: &http.Client{Transport: transport}}
	if tokenFile != "" {
		b, err := os.ReadFile(tokenFile)
		if err != nil {
			return nil, err
		}
		c.token = strings.TrimSpace(string(b))
	}
	return c, nil
}

// do sends a request under /api/v1/admin/tsdb and returns the response if its status is
// one of those wanted.
func (c *snapshotClient) do(ctx context.Context, method, name string, query url.Values, header http.Header, want ...int) (*http.Response, error) {
	u := *c.base
	u.User = nil
	u.Path = strings.TrimSuffix(u.Path, "/") + "/api/v1/admin/tsdb/" + name
	u.RawQuery = query.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for k, v := range header {
		r.Header[k] = v
	}
	if user := c.base.User; user != nil {
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
	} else if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	if slices.Contains(want, resp.StatusCode) {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, serverError(resp)
}

// statusError is an error that a server answered with.
type statusError struct {
	status int
	text   string
}

func (e *statusError) Error() string { return e.text }

// serverError returns the error in a response.
func serverError(resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 16<<10)) // what there is of it
	var e struct{ Error string }
	text := strings.TrimSpace(string(b))
	if json.Unmarshal(b, &e) == nil && e.Error != "" {
		text = e.Error
	}
	return &statusError{resp.StatusCode, fmt.Sprintf("the server answers %s: %s", resp.Status, text)}
}

// read decodes the data of a response.
func read(resp *http.Response, data any) error {
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 256<<20)).Decode(&struct{ Data any }{data}); err != nil {
		return fmt.Errorf("answer of the server: %w", err)
	}
	return nil
}

// open takes a temporary snapshot and lists its files.
func (c *snapshotClient) open(ctx context.Context) (*remoteSnapshot, error) {
	resp, err := c.do(ctx, http.MethodPost, "snapshot", url.Values{"temporary": {"true"}}, nil, http.StatusOK)
	if err != nil {
		return nil, fmt.Errorf("take a snapshot: %w", err)
	}
	s := &remoteSnapshot{client: c, ctx: ctx, files: map[string]int64{}}
	var made struct{ Name string }
	if err := read(resp, &made); err != nil {
		return nil, fmt.Errorf("take a snapshot: %w", err)
	}
	s.name = made.Name
	var list struct {
		Files []struct {
			Path string
			Size int64
		}
	}
	resp, err = c.do(ctx, http.MethodGet, "snapshots/"+s.name+"/files", nil, nil, http.StatusOK)
	if err == nil {
		err = read(resp, &list)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("list the files of snapshot %s: %w", s.name, err), c.remove(s.name))
	}
	for _, f := range list.Files {
		s.files[path.Join(remoteDir, f.Path)] = f.Size
	}
	return s, nil
}

// remove removes a snapshot, also when the command has been interrupted.
func (c *snapshotClient) remove(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	resp, err := c.do(ctx, http.MethodDelete, "snapshots/"+name, nil, nil, http.StatusNoContent, http.StatusNotFound)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Retries of a read that failed for a reason that may pass.
const (
	readTries = 6
	readPause = time.Second // doubles
)

// readRange fills p from a file of a snapshot, from off on.
func (s *remoteSnapshot) readRange(file string, p []byte, off int64) error {
	for try, pause := 1, readPause; ; try, pause = try+1, 2*pause {
		err := s.readOnce(file, p, off)
		var status *statusError
		if err == nil || s.ctx.Err() != nil || try == readTries || errors.As(err, &status) && status.status < 500 {
			return err
		}
		select {
		case <-s.ctx.Done():
		case <-vfs.SystemClock.After(pause):
		}
	}
}

func (s *remoteSnapshot) readOnce(file string, p []byte, off int64) error {
	var escaped []string
	for _, part := range strings.Split(file, "/") {
		escaped = append(escaped, url.PathEscape(part))
	}
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", off, off+int64(len(p))-1)}}
	resp, err := s.client.do(s.ctx, http.MethodGet, "snapshots/"+s.name+"/files/"+strings.Join(escaped, "/"), nil, header, http.StatusPartialContent)
	if err != nil {
		return &fs.PathError{Op: "read", Path: file, Err: err}
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, p); err != nil {
		return &fs.PathError{Op: "read", Path: file, Err: err}
	}
	return nil
}
