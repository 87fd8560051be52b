package api

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/prometheus/exporter-toolkit/web"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// rpcSecurity is what the web configuration file, which guards HTTP, means for
// gRPC: TLS, and basic authentication in the metadata of a call. Certificates
// are read again for each connection, users at the start.
type rpcSecurity struct {
	users map[string]string // name → bcrypt hash; none = everybody may call

	mu struct {
		sync.Mutex
		good map[[sha256.Size]byte]struct{} // credentials that were right: bcrypt takes its time
	}
}

// maxGoodCredentials bounds what is remembered of right credentials.
const maxGoodCredentials = 100

// strangerHash is compared with the passwords of users that do not exist, so
// that they take as long as others.
var strangerHash = sync.OnceValue(func() []byte {
	hash, err := bcrypt.GenerateFromPassword([]byte("nobody"), bcrypt.DefaultCost)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return hash
})

// newRPCSecurity reads a web configuration file; no file means no security.
func newRPCSecurity(file string) (*rpcSecurity, []grpc.ServerOption, error) {
	s := &rpcSecurity{}
	s.mu.good = make(map[[sha256.Size]byte]struct{})
	if file == "" {
		return s, nil, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	c := web.Config{TLSConfig: web.TLSConfig{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13}}
	if err := yaml.Unmarshal(content, &c); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	s.users = make(map[string]string)
	for name, hash := range c.Users {
		s.users[name] = string(hash)
	}
	t := &c.TLSConfig
	if t.TLSCert == "" && t.TLSCertPath == "" {
		return s, nil, nil
	}
	t.SetDirectory(filepath.Dir(file))
	conf, err := web.ConfigToTLSConfig(t)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, []grpc.ServerOption{grpc.Creds(credentials.NewTLS(conf))}, nil
}

// allow returns an error with the code UNAUTHENTICATED unless the caller may
// call the method. Everybody may ask for health: probes have no credentials.
func (s *rpcSecurity) allow(ctx context.Context, method string) error {
	if len(s.users) == 0 || strings.HasPrefix(method, "/grpc.health.v1.Health/") {
		return nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	for _, header := range md.Get("authorization") {
		if s.right(header) {
			return nil
		}
	}
	return status.Error(codes.Unauthenticated, "the metadata of the call need basic authentication: authorization: Basic …")
}

// right reports whether a header names a user and his password.
func (s *rpcSecurity) right(header string) bool {
	scheme, encoded, _ := strings.Cut(header, " ")
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || !strings.EqualFold(scheme, "basic") {
		return false
	}
	key := sha256.Sum256(decoded)
	s.mu.Lock()
	_, known := s.mu.good[key]
	s.mu.Unlock()
	if known {
		return true
	}
	name, password, _ := strings.Cut(string(decoded), ":")
	text, exists := s.users[name]
	hash := []byte(text)
	if !exists {
		hash = strangerHash()
	}
	if bcrypt.CompareHashAndPassword(hash, []byte(password)) != nil || !exists {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mu.good) >= maxGoodCredentials {
		clear(s.mu.good)
	}
	s.mu.good[key] = struct{}{}
	return true
}
