package api

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
)

// webConfig is a web configuration file in the format of Prometheus' exporter
// toolkit. Changes of the file take effect with the next request, those of its
// certificates with the next connection. The toolkit's own server is not used
// because it supports basic authentication only. It is safe for concurrent use.
type webConfig struct {
	file string // empty = no TLS, no users, no headers
	log  *slog.Logger

	mu struct {
		sync.Mutex
		modified time.Time // of the file that was read
		size     int64
		conf     *web.Config
		err      error // why the file cannot be used
	}
}

// openWebConfig reads and validates a file.
func openWebConfig(file string, log *slog.Logger) (*webConfig, error) {
	c := &webConfig{file: file, log: log}
	_, err := c.current()
	return c, err
}

// current returns the current configuration. While the file is invalid, all
// requests are refused: its last change may have revoked the access of a user.
func (c *webConfig) current() (*web.Config, error) {
	if c.file == "" {
		return &web.Config{}, nil
	}
	st, err := os.Stat(c.file)
	if err != nil {
		return nil, fmt.Errorf("web configuration: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if (c.mu.conf != nil || c.mu.err != nil) && st.ModTime().Equal(c.mu.modified) && st.Size() == c.mu.size {
		return c.mu.conf, c.mu.err
	}
	before := c.mu.err
	c.mu.modified, c.mu.size = st.ModTime(), st.Size()
	c.mu.conf, c.mu.err = readWebConfig(c.file)
	if c.mu.err != nil && before == nil {
		c.log.Error("web configuration is invalid: all requests are refused", "err", c.mu.err)
	}
	return c.mu.conf, c.mu.err
}

func readWebConfig(file string) (*web.Config, error) {
	if err := web.Validate(file); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	c := &web.Config{
		TLSConfig:  web.TLSConfig{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13},
		HTTPConfig: web.HTTPConfig{HTTP2: true},
	}
	d := yaml.NewDecoder(bytes.NewReader(content))
	d.KnownFields(true)
	if err := d.Decode(c); err != nil && len(bytes.TrimSpace(content)) > 0 {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	c.TLSConfig.SetDirectory(filepath.Dir(file))
	return c, nil
}

// tls returns the TLS configuration of a listener for the given protocols, nil
// for plain text. Each connection uses the current certificates.
func (c *webConfig) tls(protocols ...string) (*tls.Config, error) {
	conf, err := c.current()
	if err != nil {
		return nil, err
	}
	if conf.TLSConfig.TLSCert == "" && conf.TLSConfig.TLSCertPath == "" {
		return nil, nil
	}
	t, err := web.ConfigToTLSConfig(&conf.TLSConfig)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.file, err)
	}
	t.NextProtos = protocols
	t.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		conf, err := c.current()
		if err != nil {
			return nil, err
		}
		if conf.TLSConfig.TLSCert == "" && conf.TLSConfig.TLSCertPath == "" {
			return nil, errors.New("the web configuration has no certificate any more; plain text needs a restart")
		}
		now, err := web.ConfigToTLSConfig(&conf.TLSConfig)
		if err != nil {
			return nil, err
		}
		now.NextProtos = protocols
		return now, nil
	}
	return t, nil
}
