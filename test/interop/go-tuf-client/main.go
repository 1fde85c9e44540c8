// go-tuf in the command form of the TUF conformance suite. A refusal is its own message, and status 1.
//
// Its own example program trusts the first root that it finds, and its clock cannot be set: Go reads the time without
// the C library, so faketime does not reach it. COUNTERSIGN_TIME (RFC 3339) does.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata/config"
	"github.com/theupdateframework/go-tuf/v2/metadata/updater"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	metadataDir := flag.String("metadata-dir", "", "where the client keeps what it trusts")
	metadataURL := flag.String("metadata-url", "", "where timestamp.json is")
	targetName := flag.String("target-name", "", "a target path")
	targetBaseURL := flag.String("target-base-url", "", "where target files are")
	targetDir := flag.String("target-dir", "", "where verified files are put")
	flag.Parse()
	rootFile := filepath.Join(*metadataDir, "root.json")
	action := flag.Arg(0)
	if action == "init" {
		root, err := os.ReadFile(flag.Arg(1))
		if err != nil {
			return err
		}
		return os.WriteFile(rootFile, root, 0o644)
	}
	if action != "refresh" && action != "download" {
		return fmt.Errorf("no such action: %q", action)
	}

	root, err := os.ReadFile(rootFile)
	if err != nil {
		return err
	}
	settings, err := config.New(*metadataURL, root)
	if err != nil {
		return err
	}
	settings.LocalMetadataDir = *metadataDir
	settings.LocalTargetsDir = *targetDir
	if *targetDir == "" {
		settings.LocalTargetsDir = *metadataDir
	}
	settings.RemoteTargetsURL = *targetBaseURL
	client, err := updater.New(settings)
	if err != nil {
		return err
	}
	if text, set := os.LookupEnv("COUNTERSIGN_TIME"); set {
		now, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return err
		}
		client.UnsafeSetRefTime(now)
	}
	if err := client.Refresh(); err != nil {
		return err
	}
	if action == "refresh" {
		return nil
	}
	target, err := client.GetTargetInfo(*targetName)
	if err != nil {
		return err
	}
	_, _, err = client.DownloadTarget(target, "", *targetBaseURL)
	return err
}
