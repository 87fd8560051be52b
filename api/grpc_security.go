package api

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"tsdb/api/reqbody"
)

// rpcSecurity applies the web configuration file to gRPC: TLS, and its users in
// the metadata of a call.
type rpcSecurity struct {
	config    *webConfig
	passwords *passwords
}

// newRPCSecurity reads a web configuration file; no file means no security.
func newRPCSecurity(file string, log *slog.Logger) (*rpcSecurity, credentials.TransportCredentials, error) {
	c, err := openWebConfig(file, log)
	if err != nil {
		return nil, nil, err
	}
	s := &rpcSecurity{config: c, passwords: newPasswords()}
	t, err := c.tls("h2")
	if err != nil {
		return nil, nil, err
	}
	if t == nil {
		return s, insecure.NewCredentials(), nil
	}
	return s, credentials.NewTLS(t), nil
}

// meteredCredentials meter connections above TLS.
type meteredCredentials struct {
	credentials.TransportCredentials
	budget *reqbody.Budget
}

// ServerHandshake wraps the connection that the handshake returns.
func (c *meteredCredentials) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	return c.budget.NewRPCConn(conn, rpcWindowBytes, raw), info, nil
}

// Clone returns c, which a server does not modify.
func (c *meteredCredentials) Clone() credentials.TransportCredentials { return c }

// allow returns an error with the code UNAUTHENTICATED unless the caller may
// call the method. Health needs no credentials, because probes have none.
func (s *rpcSecurity) allow(ctx context.Context, method string) error {
	if strings.HasPrefix(method, "/grpc.health.v1.Health/") {
		return nil
	}
	conf, err := s.config.current()
	if err != nil {
		return status.Error(codes.Internal, "the web configuration cannot be used; the server's log says why")
	}
	if len(conf.Users) == 0 {
		return nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	for _, header := range md.Get("authorization") {
		l, ok := parseAuthorization(header)
		if !ok {
			continue
		}
		switch ok, err := l.check(ctx, s.passwords, conf.Users); {
		case errors.Is(err, errLoginsBusy):
			return status.Error(codes.Unavailable, err.Error())
		case err != nil:
			return status.FromContextError(err).Err()
		case ok:
			return nil
		}
	}
	return status.Error(codes.Unauthenticated, "the metadata of the call need basic authentication: authorization: Basic …")
}
