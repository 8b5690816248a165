/** The remedy for every corrupt file. */
export const getIntact = 'get an intact copy of the file';
