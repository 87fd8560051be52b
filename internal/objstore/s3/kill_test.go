package s3_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"tsdb/internal/await"
	"tsdb/internal/objstore/s3"
	"tsdb/internal/s3test"
)

// writerURL makes the test program write an object to the service there.
const writerURL = "TSDB_S3_TEST_WRITER"

func TestMain(m *testing.M) {
	url := os.Getenv(writerURL)
	if url == "" {
		os.Exit(m.Run())
	}
	o := options(url)
	o.PartBytes = partBytes
	s, err := s3.New(o)
	if err == nil {
		err = func() error {
			w, err := s.Create(context.Background(), key)
			if err != nil {
				return err
			}
			if _, err := w.Write(content(3*partBytes, 1)); err != nil {
				return err
			}
			_, err = w.Commit(context.Background())
			return err
		}()
	}
	fmt.Fprintln(os.Stderr, "written:", err)
	os.Exit(1) // it should have been killed
}

// A writer that is killed in the middle of an upload leaves no object; the next writer
// succeeds, and the unfinished upload is aborted.
func TestKilledUploads(t *testing.T) {
	p := s3test.NewProxy(t, s3test.Through(t, s3test.Gateway(t)))
	o := options(p.URL)
	o.PartBytes = partBytes
	s := open(t, o)
	held := make(chan struct{}, 10)
	p.SetFault(func(w http.ResponseWriter, r *http.Request, service http.Handler) bool {
		if s3test.Kind(r) != "UploadPart" || r.URL.Query().Get("partNumber") == "1" {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body) // so that the end of the connection is seen
		held <- struct{}{}
		<-r.Context().Done()
		return true
	})
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), writerURL+"="+p.URL)
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, child.Start())
	select {
	case <-held:
	case <-time.After(await.Limit):
		t.Error("no part was sent")
	}
	_ = child.Process.Kill() // it may have ended
	_ = child.Wait()         // with the signal
	p.SetFault(nil)
	if keys, err := s.List(t.Context(), ""); err != nil || len(keys) > 0 {
		t.Fatalf("the store has %q, %v", keys, err)
	}
	data := content(3*partBytes, 1)
	if _, err := put(t, s, key, data); err != nil {
		t.Fatal(err)
	}
	wantObject(t, s, key, data)
	if n, err := s.AbortUploads(t.Context(), "0000000000000001/", time.Now().Add(time.Hour)); err != nil || n != 1 {
		t.Errorf("%d uploads were left, %v", n, err)
	}
	wantObject(t, s, key, data)
}
