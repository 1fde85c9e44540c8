// The name of the configuration file where none is given.
export const DEFAULT_CONFIG_FILE = 'countersign.yaml';
